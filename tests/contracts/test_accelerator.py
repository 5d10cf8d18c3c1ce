"""What every accelerator must keep to: all rooms work with it through its one description. A new one is one row here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest

import inferd
from fixtures.agents.agent import children, wait_for
from fixtures.machines.boards import Board, elf, pc
from fixtures.models.fake_delegate import FakeTpu, build_fake
from fixtures.paths import PROJECT, TINY_MODELS
from inferd import ipc
from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.devices import find_devices
from inferd.accelerators.edgetpu import EDGETPU
from inferd.accelerators.table import ACCELERATORS, by_delegate, by_file, by_name, by_operators
from inferd.config import settings
from inferd.control.accelerators.fallback_and_recovery import Accelerators
from inferd.control.models.engine_keys import release
from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD, Accepted, examine
from inferd.doctor.checks import accelerator as checks
from inferd.doctor.checks import accelerator_packages
from inferd.doctor.runner import examine as run_checks
from inferd.errors import EngineError
from inferd.install import layout
from inferd.runtime.delegates import delegation
from inferd.runtime.litert import LiteRt
from inferd.store.description.bundle import find_bundle
from inferd.store.description.cpu_fallback import find_cpu_version
from inferd.store.drop_folder.items import FolderEntry, find_items
from inferd.system.clock import CountingClock
from inferd.system.processes.fork_server import ForkServer

# Accelerator → what the names of its library's functions for version and devices begin with.
ROWS = {"edgetpu": "edgetpu", "fakenpu": "fakenpu"}
LIBRARY = "/usr/lib/x86_64-linux-gnu"
FOLLOWS_BIRD = '[mqtt]\nenabled = false\n[[pipeline]]\nname = "cam"\nmodel = "bird"\nsource = { kind = "synthetic" }\n'
SOURCES = Path(inferd.__file__).parents[2]  # the project, or the scratch copy that these tests are run in


@pytest.fixture(params=ACCELERATORS, ids=[one.name for one in ACCELERATORS])
def accelerator(request: pytest.FixtureRequest) -> Accelerator:
    one: Accelerator = request.param
    return one


@pytest.fixture
def fake(accelerator: Accelerator, tmp_path: Path) -> FakeTpu:
    folder = tmp_path / "lib"
    folder.mkdir()
    return build_fake(folder, accelerator, ROWS[accelerator.name])


@pytest.fixture
def bundle(accelerator: Accelerator, tmp_path: Path) -> Path:
    """Lay our digits model down, compiled and for the CPU; return the compiled one."""
    digits, folder = PROJECT / "models" / "digits", tmp_path / "models"
    folder.mkdir()
    compiled = folder / f"digits{accelerator.file_mark}.tflite"
    made = (TINY_MODELS / "digits_edgetpu.tflite").read_bytes()
    compiled.write_bytes(made.replace(EDGETPU.custom_op.encode(), accelerator.custom_op.encode()))
    copy(digits / "model.tflite", folder / "digits.tflite")
    copy(digits / "labels.txt", folder / "digits.txt")
    manifest = (digits / "model.toml").read_text().replace("labels.txt", "digits.txt").partition("[golden]")[0]
    (folder / "digits.toml").write_text(manifest)
    return compiled


@pytest.fixture
def machine(accelerator: Accelerator, tmp_path: Path) -> Board:
    """Return a PC with one device of the kind and its library."""
    made = pc(tmp_path / "root")
    if accelerator.usb_ready:
        made.usb("2-1", accelerator.usb_ready, "5000", 3)
    else:
        vendor, device = accelerator.pci_id.split(":")
        made.write("/sys/bus/pci/devices/0000:01:00.0/vendor", f"0x{vendor}\n")
        made.write("/sys/bus/pci/devices/0000:01:00.0/device", f"0x{device}\n")
        made.node(f"/dev/{accelerator.device_node}0", 46)
    elf(made, f"{LIBRARY}/{accelerator.library}", 62)
    made.record(accelerator.name, {"step": "library", "state": "done", "version": "1"})
    return made


def load(model: Path, delegate: str = "", **options: str) -> LiteRt:
    return LiteRt(
        str(model), settings.EngineConfig(delegate=delegate, delegate_options=options), CountingClock(), "model"
    )


def refusal(model: Path, delegate: str = "", **options: str) -> str:
    with pytest.raises(EngineError) as held:
        load(model, delegate, **options)
    return str(held.value)


def findings(machine: Board) -> dict[str, str]:
    found = run_checks(machine.world(), (*checks.CHECKS, *accelerator_packages.CHECKS)).findings
    return {one.id: one.what for one in found}


def test_every_accelerator_in_the_table_has_a_row() -> None:
    assert {one.name for one in ACCELERATORS} <= ROWS.keys()


def test_its_names_are_its_own(accelerator: Accelerator) -> None:
    others = [one for one in ACCELERATORS if one is not accelerator]
    names = (accelerator.name, *accelerator.device_examples, accelerator.library, f"/opt/{accelerator.library}")
    assert [by_delegate(one) for one in names] == [accelerator] * len(names)
    assert not [one.name for one in others for name in names if one.delegate_options(name) is not None]
    assert not [one.name for one in others if one.custom_op == accelerator.custom_op]
    assert by_name(accelerator.name) is accelerator


def test_the_cpu_and_other_delegates_are_not_its_own(accelerator: Accelerator) -> None:
    assert [accelerator.delegate_options(one) for one in ("", "gpu", "/opt/libneural.so")] == [None] * 3


def test_a_device_that_is_named_reaches_its_library(accelerator: Accelerator) -> None:
    for device in accelerator.device_examples:
        found = delegation("model", settings.EngineConfig(delegate=device))
        assert found is not None
        assert (found.library, found.options, found.name) == (accelerator.library, {"device": device}, accelerator.name)


def test_a_model_is_known_by_its_operator_and_by_its_file(accelerator: Accelerator) -> None:
    assert by_operators(["TFLite_Detection_PostProcess", accelerator.custom_op]) is accelerator
    assert by_file(f"/models/cat{accelerator.file_mark}.tflite") is accelerator
    assert by_file("/models/cat.tflite") is None


def test_a_compiled_model_runs_on_it(accelerator: Accelerator, fake: FakeTpu, bundle: Path) -> None:
    engine = load(bundle, str(fake.library))
    engine.invoke()
    assert (engine.info.accelerator, engine.info.nodes_delegated, engine.info.warning) == (accelerator.name, 1, "")


def test_a_model_that_is_not_compiled_for_it_runs_on_the_cpu_and_names_the_compiler(
    accelerator: Accelerator, fake: FakeTpu
) -> None:
    info = load(TINY_MODELS / "open_batch.tflite", str(fake.library)).info
    assert info.accelerator == "cpu"
    assert accelerator.compiler in info.warning


def test_an_absent_device_is_named(accelerator: Accelerator, fake: FakeTpu, bundle: Path) -> None:
    fake.behave("absent")
    assert f"there is no {accelerator.title}; plug it in" in refusal(
        bundle, str(fake.library), mode_file=str(fake.mode_file)
    )


def test_without_its_library_a_compiled_model_is_refused_with_what_to_install(
    accelerator: Accelerator, bundle: Path, tmp_path: Path
) -> None:
    missing = refusal(bundle, str(tmp_path / accelerator.library))
    assert accelerator.install_hint in missing
    on_cpu = refusal(bundle)
    assert accelerator.title in on_cpu
    assert accelerator.compiler in on_cpu
    assert bundle.name not in on_cpu


def test_a_dropped_compiled_model_and_its_cpu_version_are_one_item(accelerator: Accelerator) -> None:
    compiled = f"cat{accelerator.file_mark}.tflite"
    listing = {path: FolderEntry("file", 9, 1, 1) for path in ("cat.tflite", compiled, "cat.txt")}
    items = find_items(listing).items
    assert {name: item.path for name, item in items.items()} == {"cat": compiled}


def test_a_compiled_model_shares_manifest_and_labels_with_its_cpu_version(bundle: Path) -> None:
    found = find_bundle(bundle)
    assert (found.manifest, found.labels) == (bundle.with_name("digits.toml"), (bundle.with_name("digits.txt"),))
    assert find_cpu_version(bundle) == bundle.with_name("digits.tflite")


def test_its_recovery_begins_with_a_plain_attempt_and_ends_with_an_alert(accelerator: Accelerator) -> None:
    assert (accelerator.recovery[0].name, accelerator.recovery[-1].name) == ("reopen", "alert")


def test_each_recovery_step_says_what_it_did(accelerator: Accelerator, machine: Board, tmp_path: Path) -> None:
    for step in (one for one in accelerator.recovery if one.act):
        assert step.act is not None
        assert "there is no" in step.act(lambda _: None, tmp_path / "empty")
        assert "there is no" not in step.act(lambda _: None, machine.root)


def test_the_doctor_finds_its_device(accelerator: Accelerator, machine: Board) -> None:
    (found,) = find_devices(accelerator, machine.root)
    assert found.ready
    assert machine.world().at(found.node).exists()
    assert findings(machine) == {}


def test_the_doctor_names_a_missing_library(accelerator: Accelerator, machine: Board) -> None:
    machine.remove(f"{LIBRARY}/{accelerator.library}")
    assert findings(machine) == {
        "accelerator.library": f"the {accelerator.title} is there, but no {accelerator.library}"
    }


def test_the_doctor_names_the_pipeline_of_a_dropped_model_without_a_device(
    accelerator: Accelerator, machine: Board, bundle: Path
) -> None:
    (device,) = find_devices(accelerator, machine.root)
    bus = "usb" if accelerator.usb_ready else "pci"
    machine.remove(f"/sys/bus/{bus}/devices/{device.port}")
    for file in bundle.parent.iterdir():
        copy(file, machine.root / "var/lib/inferd/models" / file.name.replace("digits", "bird"))
    machine.configure(FOLLOWS_BIRD)
    assert findings(machine) == {"accelerator.device": f"there is no {accelerator.title} for pipeline cam"}


def test_the_doctor_names_a_device_node_that_the_service_may_not_use(accelerator: Accelerator, machine: Board) -> None:
    (found,) = find_devices(accelerator, machine.root)
    machine.node(found.node, 0, 0o600)
    assert findings(machine) == {"accelerator.permission": f"user inferd may not use the {accelerator.title}"}


def test_the_doctor_names_a_program_that_holds_the_device(accelerator: Accelerator, machine: Board) -> None:
    (found,) = find_devices(accelerator, machine.root)
    machine.process(4711, "frigate", found.node)
    assert findings(machine) == {"accelerator.busy": f"frigate (process 4711) holds the {accelerator.title}"}


def test_the_doctor_names_a_library_that_crashes_in_this_runtime(accelerator: Accelerator, machine: Board) -> None:
    pair = next(one for one in accelerator.pairs if not one.works)
    machine.record(accelerator.name, {"step": "library", "state": "done", "version": pair.mark or "any build"})
    runtime = {"name": pair.runtime, "version": f"{pair.versions[0]}0"}
    machine.record("runtime", {"step": "import", "state": "done", **runtime}, {"step": "construct", "state": "done"})
    assert findings(machine).keys() == {"accelerator.pair"}


def test_the_probe_child_loads_its_library_and_lists_its_devices(accelerator: Accelerator, fake: FakeTpu) -> None:
    command = [sys.executable, "-m", "inferd.doctor.readers.probe_child", accelerator.name, str(fake.library)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=True)
    steps = [step for step in map(json.loads, done.stdout.splitlines()) if step["state"] == "done"]
    assert [(step["step"], step.get("devices")) for step in steps] == [("library", None), ("devices", 2)]


def test_its_device_nodes_are_opened_to_the_service(accelerator: Accelerator) -> None:
    rules = (layout.source_dir() / accelerator.udev_rules).read_text()
    for usb in accelerator.usb_ids:
        vendor, product = usb.split(":")
        assert re.search(rf'idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}".*GROUP="plugdev"', rules)
    if accelerator.device_node:
        subsystem = accelerator.device_node.rstrip("_")
        assert f'SUBSYSTEM=="{subsystem}"' in rules
        assert f"DeviceAllow=char-{subsystem} rw" in (layout.source_dir() / layout.UNIT).read_text()
    placed = {one.path.name for one in layout.files(layout.source_dir(), layout.PROGRAM, 254)}
    assert accelerator.udev_rules in placed


def test_its_documentation_has_a_heading(accelerator: Accelerator) -> None:
    page = (SOURCES / "docs" / "accelerators.md").read_text()
    assert re.search(rf"^## .*{accelerator.title}", page, re.MULTILINE)


@pytest.mark.slow
def test_its_cpu_version_serves_while_it_is_absent_and_it_returns(
    accelerator: Accelerator, fake: FakeTpu, bundle: Path, tmp_path: Path
) -> None:
    options = {"mode_file": str(fake.mode_file)}
    engine = settings.EngineConfig(delegate=str(fake.library), delegate_options=options, threads=1)
    clock = CountingClock()
    accelerators, events = Accelerators(clock, tmp_path), []
    with ForkServer(PRELOAD, ENVIRONMENT) as fork_server, closing(accelerators):
        accepted = examine(fork_server, ipc.Examine(str(bundle), settings.Overrides(), engine, ""), 60.0)
        assert isinstance(accepted, Accepted), accepted

        def has_happened(kind: str) -> bool:
            events.extend(accelerators.turn(fork_server, patience_s=1e6, load_s=1e6))
            if not {"inferd-probe", "inferd-recovery"} & children(fork_server.pid).keys():
                clock.advance(1.0)
            return any(one.kind == kind for one in events)

        fake.behave("absent")
        accelerators.follow([("cam", accepted, engine)])
        wait_for(lambda: has_happened("failed"), 30.0)
        offer, fds = accelerators.offer("cam", ipc.Offer("cam", accepted.description, engine), None)
        assert (offer.engine.delegate, len(fds)) == ("", 1)
        assert accelerator.title in offer.degraded
        fake.behave("good")
        wait_for(lambda: has_happened("back"), 30.0)
        assert accelerators.can_serve("cam")
        release(accepted)
