"""The table of faults on fixture machines: each is named, by its check alone, with the line that mends it.

Faults that can be made for real are in test_real_faults.py. The machines are healthy until the fault is put in.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.machines.boards import (
    CONFIG,
    LITERT,
    SERVICE,
    TFLITE,
    Board,
    coral,
    elf,
    pc,
    pi4,
    pi5,
    with_python,
    zero2,
)
from fixtures.models.tflite_writer import CUSTOM, FLOAT_PICTURE, PICTURE, ModelMade, TensorMade, classifier
from inferd.doctor.readers.world import User
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine
from inferd.store.lifecycle.state import LifecycleState
from inferd.store.storage.state_file import NAME, StateFile

DIGITS = "/var/lib/inferd/models/digits"
VIDEO = f'kind = "video", path = "{DIGITS}/clip.avi"'
NO_RUNTIME = {"step": "import", "state": "failed", "kind": "ImportError", "why": "No module named 'ai_edge_litert'"}
NUMPY = {"step": "numpy", "state": "done", "version": "2.4.6"}
BEGUN = {"step": "construct", "state": "begun"}
SYSTEM_ERROR = {
    "step": "construct",
    "state": "failed",
    "kind": "SystemError",
    "why": "returned a result with an exception set",
}

Inject = Callable[[Board], None]


def no_runtime(board: Board) -> None:
    board.record("runtime", NUMPY, NO_RUNTIME)
    for info in (board.root / "site-packages").glob("*lite*"):
        shutil.rmtree(info)


def python_too_new(board: Board) -> None:
    no_runtime(board)
    with_python(board, (3, 15), "aarch64")


def python_on_armv6(board: Board) -> None:
    no_runtime(board)
    with_python(board, (3, 11), "armv6l")


def narrow_python_too_new(board: Board) -> None:
    no_runtime(board)
    with_python(board, (3, 13), "armv7l")


def numpy_too_new(board: Board) -> None:
    board.record("runtime", NUMPY, TFLITE[1], SYSTEM_ERROR)


def runtime_crashes(board: Board) -> None:
    lines = "\n".join(map(json.dumps, (*LITERT[:2], BEGUN)))
    board.program("python3", f"[ $3 = runtime ] || exec cat {board.root}/recorded/$3\necho '{lines}'\nkill -SEGV $$")


def slow_model(board: Board) -> None:
    warning = (
        "tflite-runtime 2.14.0 delegates no operator of this quantised model, which may be slow; ai-edge-litert ..."
    )
    model = {"step": f"model:{board.root}{DIGITS}/model.tflite", "state": "done", "warning": warning}
    board.record("runtime", *TFLITE, model)


def pypi_pycoral(board: Board) -> None:
    board.installed("pycoral", "0.2.0", "pycoral/__init__.py", "pycoral/pycoral.py")


def old_paho(board: Board) -> None:
    (info,) = (board.root / "site-packages").glob("paho*")
    shutil.rmtree(info)
    board.installed("paho-mqtt", "1.6.1")
    board.configure(CONFIG.replace("enabled = false", 'host = "127.0.0.1"\nport = 9'))


def no_opencv(board: Board) -> None:
    board.record(
        "opencv", {"step": "opencv", "state": "failed", "kind": "ModuleNotFoundError", "why": "No module named 'cv2'"}
    )


def no_libedgetpu(board: Board) -> None:
    board.remove("/usr/lib/aarch64-linux-gnu/libedgetpu.so.1")


def wrong_libedgetpu(board: Board) -> None:
    elf(board, "/usr/lib/aarch64-linux-gnu/libedgetpu.so.1", 40)


def no_libusb(board: Board) -> None:
    why = "libusb-1.0.so.0: cannot open shared object file: No such file or directory"
    board.record("edgetpu", {"step": "library", "state": "failed", "kind": "OSError", "why": why})


def wrong_pair(board: Board) -> None:
    board.record("runtime", *TFLITE)


def no_device(board: Board) -> None:
    board.remove("/sys/bus/usb/devices/2-1")


def bare_device(board: Board) -> None:
    board.remove("/sys/bus/usb/devices/2-1")
    board.usb("2-1", "1a6e:089a", "5000", 2)


def closed_device(board: Board) -> None:
    board.node("/dev/bus/usb/002/003", 0, 0o664)


def device_of_another_group(board: Board) -> None:
    board.user = replace(SERVICE, gids=frozenset({990}))


def busy_device(board: Board) -> None:
    board.process(4711, "frigate", "/dev/bus/usb/002/003")


def slow_port(board: Board) -> None:
    board.write("/sys/bus/usb/devices/2-1/speed", "480\n")


def no_driver(board: Board) -> None:
    board.remove("/dev/apex_0")


def no_cpu_version(board: Board) -> None:
    model = ModelMade([PICTURE], [TensorMade((1, 3))], CUSTOM, "edgetpu-custom-op")
    board.write("/var/lib/inferd/models/birds_edgetpu.tflite", "").write_bytes(model.content())
    board.configure(
        CONFIG.replace(DIGITS, "/var/lib/inferd/models/birds_edgetpu.tflite", 1) + 'overrides = { task = "raw" }\n'
    )


def no_cpu_version_for_a_model_of_another_name(board: Board) -> None:
    model = ModelMade([PICTURE], [TensorMade((1, 3))], CUSTOM, "edgetpu-custom-op")
    board.write("/var/lib/inferd/models/birds.tflite", "").write_bytes(model.content())
    board.configure(CONFIG.replace(DIGITS, "/var/lib/inferd/models/birds.tflite", 1) + 'overrides = { task = "raw" }\n')


def camera_missing(board: Board) -> None:
    board.configure(CONFIG.replace(VIDEO, 'kind = "v4l2", path = "/dev/video0"'))


def camera_closed(board: Board) -> None:
    board.node("/dev/video0", 44)
    board.user = replace(SERVICE, gids=frozenset({990, 46}))


def camera_busy(board: Board) -> None:
    board.process(1234, "motion", "/dev/video0")


def no_rpicam(board: Board) -> None:
    board.remove("/usr/bin/rpicam-vid")


def no_rpicam_for_a_pipeline(board: Board) -> None:
    board.remove("/usr/bin/rpicam-vid")
    board.configure(CONFIG.replace(VIDEO, 'kind = "command", preset = "rpicam"'))


def no_ffmpeg(board: Board) -> None:
    board.configure(CONFIG.replace(VIDEO, 'kind = "command", preset = "ffmpeg"'))


def no_clip(board: Board) -> None:
    board.remove(f"{DIGITS}/clip.avi")


def closed_folder(board: Board) -> None:
    board.own("/var/lib/inferd/models", replace(SERVICE, uid=0))


def folder_in_memory(board: Board) -> None:
    board.mounts("/dev/mmcblk0p2 / ext4 rw,noatime 0 0", "tmpfs /var/lib/inferd/models tmpfs rw,size=65536k 0 0")


def card_read_only(board: Board) -> None:
    board.mounts("/dev/mmcblk0p2 / ext4 ro,noatime 0 0")


def swap_on_card(board: Board) -> None:
    row = "/var/swap                               file\t\t204796\t\t65536\t\t-2"
    board.write("/proc/swaps", f"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n{row}\n")


def state_damaged(board: Board) -> None:
    folder = board.root / "var/lib/inferd/store"
    for _ in range(2):
        StateFile(folder).save(LifecycleState())
    (folder / NAME).write_bytes(b"\0" * 512)  # what a card leaves of a file whose blocks it lost


def state_of_a_newer(board: Board) -> None:
    board.write("/var/lib/inferd/format.json", '{"format": 99, "version": "9.1"}')


def misspelt(board: Board) -> None:
    board.configure(CONFIG.replace("enabled = false", 'hots = "broker"'))


def under_voltage_seen(board: Board) -> None:
    board.prints("vcgencmd", "throttled=0x50000")


def under_voltage_now(board: Board) -> None:
    board.prints("vcgencmd", "throttled=0x50005")


def throttled_now(board: Board) -> None:
    board.prints("vcgencmd", "throttled=0x80008")


def not_synchronised(board: Board) -> None:
    board.prints("timedatectl", "no")


def clock_in_1970(board: Board) -> None:
    board.wall_s = 300.0


def watchdog_off(board: Board) -> None:
    board.write("/sys/class/watchdog/watchdog0/state", "inactive\n")


def no_unit(board: Board) -> None:
    board.remove("/etc/systemd/system/inferd.service")


def old_unit(board: Board) -> None:
    unit = board.root / "etc/systemd/system/inferd.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=30s\n", ""))


def packaged_old_unit(board: Board) -> None:
    old_unit(board)
    text = (board.root / "etc/systemd/system/inferd.service").read_text()
    board.remove("/etc/systemd/system/inferd.service")
    board.write("/lib/systemd/system/inferd.service", text)


def memory_group_off(board: Board) -> None:
    board.write("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")


def labels_too_few(board: Board) -> None:
    board.write(f"{DIGITS}/labels.txt", "zero\none\ntwo\n")


def model_gone(board: Board) -> None:
    board.remove(f"{DIGITS}/model.tflite")


def nothing_said_of_pixels(board: Board) -> None:
    board.write("/var/lib/inferd/models/plain.tflite", "").write_bytes(classifier(picture=FLOAT_PICTURE).content())
    board.configure(CONFIG.replace(f'model = "{DIGITS}"', 'model = "/var/lib/inferd/models/plain.tflite"'))


def broker_gone(board: Board) -> None:
    board.configure(CONFIG.replace("enabled = false", 'host = "127.0.0.1"\nport = 9'))


def password_open(board: Board) -> None:
    board.write("/etc/inferd/password", "secret\n", 0o644)
    board.configure(
        CONFIG.replace("enabled = false", 'enabled = false\nusername = "a"\npassword_file = "/etc/inferd/password"')
    )


def password_in_quotes(board: Board) -> None:
    password_open(board)
    board.write("/etc/inferd/password", '"secret"\n', 0o600)


def password_missing(board: Board) -> None:
    board.configure(
        CONFIG.replace("enabled = false", 'enabled = false\nusername = "a"\npassword_file = "/etc/inferd/password"')
    )


TLS = """enabled = false
tls = true
ca_file = "/etc/inferd/ca.crt"
cert_file = "/etc/inferd/device.crt"
key_file = "/etc/inferd/device.key\""""


def tls_files(board: Board) -> None:
    for name, mode in (("ca.crt", 0o644), ("device.crt", 0o644), ("device.key", 0o600)):
        board.own(f"/{board.write(f'/etc/inferd/{name}', 'PEM', mode).relative_to(board.root)}", SERVICE)
    board.configure(CONFIG.replace("enabled = false", TLS))


def certificate_missing(board: Board) -> None:
    tls_files(board)
    board.remove("/etc/inferd/ca.crt")


def key_closed(board: Board) -> None:
    tls_files(board)
    board.own("/etc/inferd/device.key", User("root", 0, frozenset({0})))


def key_open(board: Board) -> None:
    tls_files(board)
    (board.root / "etc/inferd/device.key").chmod(0o644)


def credential_not_given(board: Board) -> None:
    board.write("/run/credentials/inferd.service/other", "")
    board.configure(CONFIG.replace("enabled = false", f"enabled = false\n{CREDENTIAL}"))


CLIP = "/var/lib/inferd/models/digits/clip.avi"


def empty_clip(board: Board) -> None:
    board.write(CLIP, "")


def cut_clip(board: Board) -> None:
    clip = board.root / CLIP.lstrip("/")
    clip.write_bytes(clip.read_bytes()[:100_000])


def no_sensor(board: Board) -> None:
    board.write("/sys/bus/iio/devices/iio:device0/name", "bmi160\n")
    board.configure(CONFIG.replace(VIDEO, 'kind = "iio", device = "adxl345"'))


def program_fails(board: Board) -> None:
    board.program("mycam", "echo 'no such camera' >&2; exit 3")
    board.configure(CONFIG.replace(VIDEO, 'kind = "command", command = ["mycam"], format = "mjpeg"'))


def camera_does_not_answer(board: Board) -> None:
    board.configure(CONFIG.replace(VIDEO, 'kind = "stream", url = "http://a:secret@127.0.0.1:9/cam"'))


def alert_without_meter(board: Board) -> None:
    board.configure(f'{CONFIG}\n[[alert]]\nname = "hot"\nwhen = "temperature_c"\nabove = 80\n')


def too_many_threads(board: Board) -> None:
    board.write("/proc/cpuinfo", "".join(f"processor\t: {number}\n\n" for number in range(4)))
    board.configure(f"{CONFIG}engine = {{ threads = 8 }}\n")


def discovery_without_mqtt(board: Board) -> None:
    board.configure(f"{CONFIG}\n[homeassistant]\nenabled = true\n")


def few_open_files(board: Board) -> None:
    board.write("/proc/self/limits", "Max open files            40                   40                   files\n")


CREDENTIAL = 'username = "a"\npassword_file = "$CREDENTIALS_DIRECTORY/mqtt-password"'
FAULTS: list[tuple[Callable[[Path], Board], Inject, str, str]] = [
    (pi4, no_runtime, "runtime.missing", "-m pip install ai-edge-litert"),
    (zero2, no_runtime, "runtime.missing", "-m pip install tflite-runtime==2.14.0"),
    (pi5, python_too_new, "runtime.python", "python3.13 -m venv"),
    (zero2, python_on_armv6, "runtime.python", "64-bit"),
    (zero2, narrow_python_too_new, "runtime.python", "64-bit Raspberry Pi OS"),
    (zero2, numpy_too_new, "runtime.numpy", "-m pip install 'numpy<2'"),
    (pi4, runtime_crashes, "runtime.broken", "--force-reinstall"),
    (pi4, old_paho, "runtime.paho", "-m pip install 'paho-mqtt>=2.1'"),
    (zero2, slow_model, "models.slow", "float model"),
    (pi4, pypi_pycoral, "accelerator.pycoral", "-m pip uninstall --yes pycoral"),
    (pi4, no_opencv, "sources.opencv", "-m pip install opencv-python-headless"),
    (zero2, no_opencv, "sources.opencv", "sudo apt-get install python3-opencv"),
    (pi4, no_libedgetpu, "accelerator.library", "sudo apt-get install libedgetpu1-std:arm64"),
    (pi4, wrong_libedgetpu, "accelerator.architecture", "sudo apt-get install libedgetpu1-std:arm64"),
    (pi4, no_libusb, "accelerator.libusb", "sudo apt-get install libusb-1.0-0"),
    (pi4, wrong_pair, "accelerator.pair", "built for tflite-runtime 2.14.0"),
    (pi4, no_device, "accelerator.device", "plug the Edge TPU in"),
    (pi4, bare_device, "accelerator.firmware", "run one inference"),
    (pi4, closed_device, "accelerator.permission", "sudo inferd install"),
    (pi4, device_of_another_group, "accelerator.permission", "sudo usermod --append --groups plugdev inferd"),
    (pi4, busy_device, "accelerator.busy", "kill 4711"),
    (pi4, slow_port, "accelerator.usb2", "USB 3 port"),
    (coral, no_driver, "accelerator.driver", "gasket-dkms"),
    (coral, no_cpu_version, "models.twin", "birds.tflite"),
    (coral, no_cpu_version_for_a_model_of_another_name, "models.twin", 'write twin = "cpu.tflite" under [model]'),
    (pi5, camera_missing, "sources.camera-missing", "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0"),
    (pc, camera_closed, "sources.camera-permission", "sudo usermod --append --groups video inferd"),
    (pc, camera_busy, "sources.camera-busy", "kill 1234"),
    (pi4, no_rpicam, "sources.rpicam", "sudo apt-get install rpicam-apps-lite"),
    (pi4, no_rpicam_for_a_pipeline, "sources.rpicam", "sudo apt-get install rpicam-apps-lite"),
    (pc, no_ffmpeg, "sources.program", "sudo apt-get install ffmpeg"),
    (pi4, no_clip, "sources.file", "clip.avi"),
    (pi4, broker_gone, "broker.unreachable", "sudo apt-get install mosquitto"),
    (pi4, password_open, "broker.password-file", "chmod o-rwx /etc/inferd/password"),
    (pi4, password_in_quotes, "broker.password-file", "leave them out"),
    (pi4, password_missing, "broker.password-file", "/etc/inferd/password"),
    (pi4, credential_not_given, "broker.password-file", "LoadCredential=mqtt-password:FILE"),
    (pi4, certificate_missing, "broker.tls-file", "mqtt.ca_file in /etc/inferd/inferd.toml"),
    (pi4, key_closed, "broker.tls-file", "sudo chown inferd /etc/inferd/device.key"),
    (pi4, key_open, "broker.tls-file", "chmod o-rwx /etc/inferd/device.key"),
    (pi4, closed_folder, "disk.permission", "sudo install -d -o inferd /var/lib/inferd/models"),
    (pi4, folder_in_memory, "disk.memory", "state_dir"),
    (pi4, card_read_only, "disk.read-only", "sudo mount -o remount,rw /"),
    (pi4, swap_on_card, "disk.swap", "sudo swapoff /var/swap"),
    (pi4, state_damaged, "disk.state", "sudo inferd doctor --fix"),
    (pi4, state_of_a_newer, "disk.state-format", "install inferd 9.1 again"),
    (pi4, misspelt, "config.invalid", "write host instead of hots"),
    (pi4, under_voltage_seen, "power.under-voltage", "power supply"),
    (pi4, under_voltage_now, "power.under-voltage", "power supply"),
    (pi4, throttled_now, "power.throttled", "heat sink"),
    (pi4, not_synchronised, "system.clock", "sudo timedatectl set-ntp true"),
    (pi4, clock_in_1970, "system.clock", "sudo timedatectl set-ntp true"),
    (pi4, watchdog_off, "system.watchdog", "hardware-watchdog.conf"),
    (pi4, no_unit, "system.unit", "sudo inferd install"),
    (pi4, old_unit, "system.unit-old", "sudo inferd install"),
    (pi4, packaged_old_unit, "system.unit-old", "sudo apt-get install --reinstall inferd"),
    (pi4, memory_group_off, "system.memory-group", "cgroup_enable=memory"),
    (pi4, labels_too_few, "models.labels", "label file that the model was trained with"),
    (pi4, nothing_said_of_pixels, "models.incomplete", "--mean and --std"),
    (pi4, model_gone, "models.unusable", "inferd models show"),
    (pi4, empty_clip, "sources.recording", "copy it again"),
    (pi4, cut_clip, "sources.recording", "copy it again"),
    (pi4, no_sensor, "sources.sensor", 'set device = "bmi160"'),
    (pi4, program_fails, "sources.command", "run the command by hand"),
    (pi4, camera_does_not_answer, "sources.stream", "ping 127.0.0.1"),
    (pi4, alert_without_meter, "config.alert", "remove the alert 'hot'"),
    (pi4, too_many_threads, "config.threads", "set engine.threads to 4 or less"),
    (pi4, discovery_without_mqtt, "config.discovery", "enabled = true under [mqtt]"),
    (pi4, few_open_files, "system.open-files", "ulimit -n 1024"),
]
ALSO = {"broker_gone", "old_paho"}  # their broker is not there either


@pytest.mark.parametrize(
    ("machine", "inject", "check", "mend"), FAULTS, ids=[f"{one[0].__name__}-{one[1].__name__}" for one in FAULTS]
)
def test_a_fault_is_named_with_what_mends_it(
    machine: Callable[[Path], Board], inject: Inject, check: str, mend: str, tmp_path: Path
) -> None:
    board = machine(tmp_path)
    inject(board)
    findings = {one.id: one for one in examine(board.world(), CHECKS).findings}
    assert check in findings, sorted(findings)
    assert mend in findings[check].mend
    beside = {"broker.unreachable"} if inject.__name__ in ALSO else set()
    assert set(findings) - {check} <= beside
