"""Runs inside an emulated PC: the package under a real kernel, with its drivers, its control groups and its device rules.

A camera (vivid), a power meter on an I2C bus (i2c-stub, ina2xx-adc) and a sound card (snd-aloop) are the kernel's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from common import CONFIG_D, Broker, Figures, check_all, configure, process, run, shown, until
from package import DIGITS, STATE, bundled

PATIENT_S = 180.0  # an emulated processor
ADDRESS = "0x40"
POWER_REGISTER = "0x03"  # INA226 datasheet, table 4
READY_REGISTER, READY = "0x06", 0x0008  # "conversion ready": the driver waits for it, and the stub converts nothing
WATTS_A_BIT = 25 * 2.5e-6 / 0.01  # 25 times the current's bit, which is 2.5 uV over the 10 mOhm that the driver assumes
CAMERA = """
[[pipeline]]
name = "camera"
model = "{folder}"
[pipeline.source]
kind = "v4l2"
path = "/dev/video0"
"""
SOUND = """
[[pipeline]]
name = "ear"
model = "/in/yamnet.tflite"
[pipeline.source]
kind = "command"
preset = "arecord"
input = "hw:Loopback,1,0"
"""
NEWEST = """
[watch]
memory_max_mb = {limit_mb}
[models]
look_every_s = 0.5
settle_s = 0.5
trial_s = 60
trial_results = 60
[[pipeline]]
name = "newest"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed", fps = 5}}
report = {{max_per_s = 0}}
engine = {{kind = "fake"}}
"""
HOG = "scores = [0.9, 0.1]\nleak_from = 20\nleak_mb = 30"
MEMORY_MAX = "[Service]\nMemoryMax=350M\n"
BUS = Path("/sys/bus/i2c/devices")
DROPIN = Path("/etc/systemd/system/inferd.service.d/memory.conf")
broker: Broker


def it_serves_under_this_kernel() -> Figures:
    """The service came with the boot; results arrive at the broker."""
    global broker  # noqa: PLW0603 - one subscriber for all checks
    until("active", lambda: shown("ActiveState") == "active", PATIENT_S)
    broker = Broker()
    configure("digits", DIGITS.format(folder=bundled()))
    return {"back_s": broker.back(PATIENT_S), "kernel": run("uname", "-r").strip(), "status": shown("StatusText")}


def watts_are_read_from_the_bus() -> Figures:
    """What stands in the chip's register comes out as measured watts, and changes with it; each result says what it cost."""
    run("modprobe", "-a", "i2c-dev", "ina2xx-adc")
    run("modprobe", "i2c-stub", f"chip_addr={ADDRESS}")
    bus = stub_bus()
    (BUS / f"i2c-{bus}" / "new_device").write_text(f"ina226 {ADDRESS}\n")
    poke(bus, 5.0)
    configure("power", '[metrics]\npower = "sensor"\ninterval_s = 5.0\n')
    told = []
    for watts in (5.0, 12.5):
        poke(bus, watts)
        broker.mark()
        _, metrics = broker.wait("/metrics", partial(draws, watts), PATIENT_S)
        told.append(power(metrics))
    energy = metrics["agent"]["inference_energy_mj"]
    assert metrics["power_source"] == "ina226"
    assert energy["measured"] > 0, energy
    assert not energy.get("estimated"), energy
    configure("power", None)
    return {"poked_and_told_w": told, "inference_energy_mj": energy}


def a_sensor_is_read_from_its_buffer() -> Figures:
    """By the real driver's buffer, as the user inferd, with the rights that the example rule gives."""
    examples = Path("/usr/share/doc/inferd/examples")
    run("install", "-m", "0644", str(examples / "iio.rules"), "/etc/udev/rules.d/71-inferd-iio.rules")
    run("udevadm", "control", "--reload")
    run("udevadm", "trigger", "--action=add", "--subsystem-match=iio", "--settle")
    poke(stub_bus(), 7.5)
    command = ["runuser", "-u", "inferd", "--", "/opt/inferd/bin/python3", "-P", "/in/iio.py", "ina226", "power2"]
    told: Figures = json.loads(run(*command, timeout_s=PATIENT_S))
    assert [round(mw) for mw in told["window"]] == [7500] * 16, told
    return told


def stub_bus() -> str:
    """Return the number of the bus that i2c-stub plays."""
    return next(found[1] for found in re.finditer(r"i2c-(\d+)\s.*stub", run("i2cdetect", "-l")))


def poke(bus: str, watts: float) -> None:
    """Put so many watts into the register, and say that they are there; high byte first as the chip does."""
    for register, value in ((POWER_REGISTER, round(watts / WATTS_A_BIT)), (READY_REGISTER, READY)):
        swapped = (value & 0xFF) << 8 | value >> 8
        run("i2cset", "-f", "-y", bus, ADDRESS, register, hex(swapped), "w")


def draws(watts: float, metrics: dict[str, Any]) -> bool:  # Any: JSON
    """Whether so much was measured."""
    return power(metrics) == watts


def power(metrics: dict[str, Any]) -> float | None:  # Any: JSON
    """Return the measured watts."""
    told = metrics["system"]["power_w"]
    return told.get("measured") if told else None


def a_camera_is_unplugged_and_comes_back() -> Figures:
    """By the service, as the user inferd, through its device rules: results, waiting with the reason, results again."""
    run("modprobe", "vivid", "n_devs=1", "node_types=0x1")
    until("the camera", Path("/dev/video0").exists, 30)
    device = Path("/sys/class/video4linux/video0/device").resolve()
    control = shown("MainPID")
    broker.mark()
    configure("camera", CAMERA.format(folder=bundled()))
    first_s, _ = broker.wait("/camera/result", lambda _: True, PATIENT_S)
    broker.mark()
    (device / "driver" / "unbind").write_text(device.name)
    gone_s, status = broker.wait("/camera/status", lambda body: body["status"] == "waiting", PATIENT_S)
    Path("/sys/bus/platform/drivers/vivid/bind").write_text(device.name)
    back_s = broker.back(PATIENT_S, "camera")
    configure("camera", None)
    assert shown("MainPID") == control
    return {"first_s": first_s, "named_s": gone_s, "why": status["why"], "back_s": back_s}


def the_source_makes_the_best_of_a_camera() -> Figures:
    """Sizes, rates, formats and refusals, straight from the source."""
    facts = json.loads(run("/opt/inferd/bin/python3", "-P", "/in/vivid.py", timeout_s=PATIENT_S))
    assert "width=320, height=180" in facts["smallest"]
    assert facts["smallest"].endswith("(180, 320, 3)")
    assert facts["enlarged"].endswith("(2160, 3840, 3)")
    assert facts["fast"].endswith("(720, 1280, 3)")
    assert "fourcc='NV12'" in facts["planar"]
    assert facts["planar"].endswith("(360, 640, 3)")
    assert facts["busy"].startswith("/dev/video0: is busy or refuses to start")
    assert facts["compressed"].startswith("/dev/video0: does not give H264; it gives ")
    assert facts["nobody"] == "/dev/video0: may not be opened; add inferd's user to the group video"
    assert facts["unplugged"] == "/dev/video0: has been unplugged; plug it in again; then (180, 320, 3)"
    return dict(facts)


def a_sound_card_is_heard() -> Figures:
    """What is played into one end of a loop is named at the other, by YAMNet through the preset for arecord."""
    if not Path("/in/yamnet.tflite").exists():
        return {"skipped": "there is no YAMNet here"}
    run("modprobe", "snd-aloop")
    configure("ear", SOUND)
    heard = {}
    for clip, label in (("speech", "Speech"), ("meow", "Cat")):
        playing = subprocess.Popen(
            ["sh", "-c", f"while aplay -q -D hw:Loopback,0,0 /in/{clip}.wav; do :; done"], start_new_session=True
        )
        broker.mark()
        _, result = broker.wait("/ear/result", partial(names, label), PATIENT_S)
        heard[clip] = result["labels"][0]
        run("kill", "--", f"-{playing.pid}")
        playing.wait()
    configure("ear", None)
    return heard


def names(label: str, result: dict[str, Any]) -> bool:  # Any: JSON
    """Whether a result's best label is this one."""
    return bool(result["labels"]) and result["labels"][0]["label"] == label


def a_memory_hog_on_trial_is_killed_and_the_model_before_serves() -> Figures:
    """MemoryMax: the kernel kills the worker, not the service; the second time the model on trial is rolled back."""
    a_model_has_proved_itself(broker, limit_mb=10_000)  # so that the kernel acts, and not inferd's own limit
    DROPIN.parent.mkdir(exist_ok=True)
    DROPIN.write_text(MEMORY_MAX)
    run("systemctl", "daemon-reload")  # a limit needs no restart
    control, worker = shown("MainPID"), process("inferd-worker")
    broker.mark()
    drop("hog", HOG)
    took_s, back = broker.wait("/event", lambda body: body["kind"] == "model.rolled_back", PATIENT_S)
    deaths = [body["message"] for _, body in broker.heard("/event") if body["kind"] == "worker.died"]
    results = {name: broker.back(PATIENT_S, name) for name in ("newest", "digits")}
    serving = json.loads(run("mosquitto_sub", "-t", "inferd/+/newest/model", "-C", "1", "-W", "30"))
    assert shown("MainPID") == control
    assert process("inferd-worker") != worker
    assert serving["name"] == "calm"
    kills = int(
        re.findall(r"oom_kill (\d+)", Path("/sys/fs/cgroup/system.slice/inferd.service/memory.events").read_text())[0]
    )
    assert kills >= len(deaths) >= 1
    DROPIN.unlink()
    run("systemctl", "daemon-reload")
    configure("newest", None)
    return {"kills": kills, "deaths": deaths, "rolled_back_s": took_s, "why": back["message"], "back_s": results}


def a_model_has_proved_itself(broker: Broker, limit_mb: int) -> None:
    """Have a fake serve the pipeline `newest`; the models of `[models]` are read at the start."""
    (CONFIG_D / "newest.toml").write_text(NEWEST.format(limit_mb=limit_mb))
    run("systemctl", "restart", "inferd")
    broker.mark()
    drop("calm", "scores = [0.1, 0.9]")
    broker.wait("/event", lambda body: body["kind"] == "model.committed" and "calm" in body["message"], PATIENT_S)


def drop(name: str, text: str) -> None:
    """Drop a fake model that does what `text` says."""
    part = STATE / "models" / f".{name}.part"
    part.write_text(text + "\n")
    part.rename(STATE / "models" / f"{name}.tflite")


CHECKS = [
    it_serves_under_this_kernel,
    watts_are_read_from_the_bus,
    a_sensor_is_read_from_its_buffer,
    a_camera_is_unplugged_and_comes_back,
    the_source_makes_the_best_of_a_camera,
    a_sound_card_is_heard,
    a_memory_hog_on_trial_is_killed_and_the_model_before_serves,
]

if __name__ == "__main__":
    sys.exit(check_all("kernel", CHECKS))
