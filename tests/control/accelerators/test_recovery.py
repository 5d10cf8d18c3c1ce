"""The ladder for a wedged stick: real children, a fake accelerator, a made-up /sys; only the pauses are not waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import copy

import pytest

from fixtures.agents.agent import children, wait_for
from fixtures.models.fake_delegate import FakeTpu, build_fake_tpu
from fixtures.paths import PROJECT
from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators.fallback_and_recovery import AcceleratorEvent, Accelerators
from inferd.control.models.engine_keys import release
from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD, Accepted, examine
from inferd.system.clock import CountingClock
from inferd.system.processes.fork_server import ForkServer

pytestmark = pytest.mark.slow
CHILDREN = {"inferd-probe", "inferd-recovery"}
PATIENCE_S, CHILD_S = 30.0, 60.0


class Ladder:
    """One model that is meant for an accelerator, and a stick on a bus of its own."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.tpu: FakeTpu = build_fake_tpu(folder)
        self.port = folder / "sys/bus/usb/devices/2-1"
        (self.port / "port").mkdir(parents=True)
        for name, text in {"idVendor": "18d1", "idProduct": "9302", "busnum": "2", "devnum": "5"}.items():
            (self.port / name).write_text(text)
        (self.port / "authorized").write_text("1")
        (self.port / "port/disable").write_text("0")
        self._clock = CountingClock()
        self._seed = held.enter_context(ForkServer(PRELOAD, ENVIRONMENT))
        self._accelerators = Accelerators(self._clock, folder)
        held.callback(self._accelerators.close)
        options = {"mode_file": str(self.tpu.mode_file)}
        engine = settings.EngineConfig(delegate=str(self.tpu.library), delegate_options=options, threads=1)
        accepted = examine(self._seed, ipc.Examine(str(_model(folder)), settings.Overrides(), engine, ""), CHILD_S)
        assert isinstance(accepted, Accepted)
        held.callback(release, accepted)
        self._accelerators.follow([("cam", accepted, engine)])
        self.news: list[AcceleratorEvent] = []

    def climb(self, until: str, times: int = 1) -> None:
        """Let time pass until news of this kind came so often."""
        wait_for(lambda: self._turn() or sum(one.kind == until for one in self.news) >= times, PATIENCE_S)

    @property
    def told(self) -> list[tuple[str, str]]:
        """The kinds of all news, and the step that they name."""
        return [(one.kind, one.why.partition(":")[0] if one.kind == "mending" else "") for one in self.news]

    def _turn(self) -> bool:
        self.news += self._accelerators.turn(self._seed, patience_s=1e6, load_s=1e6)
        if not CHILDREN & children(self._seed.pid).keys():  # or they would be late
            self._clock.advance(1.0)
        return False


def _model(folder: Path) -> Path:
    digits = PROJECT / "models" / "digits"
    models = folder / "models"
    models.mkdir()
    model = Path(copy(PROJECT / "tests/runtime/models/digits_edgetpu.tflite", models / "digits_edgetpu.tflite"))
    copy(digits / "model.tflite", models / "digits.tflite")
    copy(digits / "labels.txt", models / "digits.txt")
    said = (digits / "model.toml").read_text().replace("labels.txt", "digits.txt").partition("[golden]")[0]
    (models / "digits.toml").write_text(said)
    return model


@pytest.fixture
def ladder(tmp_path: Path) -> Iterator[Ladder]:
    with ExitStack() as held:
        yield Ladder(tmp_path, held)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladder]:
    with ExitStack() as held:
        ladder = Ladder(tmp_path_factory.mktemp("ladder"), held)
        ladder.tpu.behave("absent")
        ladder.climb("wedged")
        yield ladder


def test_each_rung_is_told_gentlest_first_and_the_last_is_an_alert(climbed: Ladder) -> None:
    assert climbed.told == [
        ("failed", ""),
        ("mending", "reopen"),
        ("mending", "reopen"),
        ("mending", "usb_reset"),
        ("mending", "port_power"),
        ("wedged", ""),
    ]


def test_what_the_steps_did_is_told_in_words(climbed: Ladder) -> None:
    assert [one.why for one in climbed.news if one.why.startswith(("usb_reset", "port_power"))] == [
        "usb_reset: took the stick at 2-1 off the bus and put it back",
        "port_power: switched the port 2-1 off and on",
    ]
    assert ((climbed.port / "authorized").read_text(), (climbed.port / "port/disable").read_text()) == ("1", "0")


def test_a_step_that_the_kernel_refuses_is_told_and_the_next_one_is_climbed(ladder: Ladder) -> None:
    (ladder.port / "authorized").unlink()
    (ladder.port / "authorized").mkdir()
    ladder.tpu.behave("absent")
    ladder.climb("wedged")
    (told,) = [one.why for one in ladder.news if one.why.startswith("usb_reset")]
    assert "could not do this: reset the stick at 2-1 (No such file or directory)" in told
    assert "could not do this: took the stick at 2-1 off the bus and put it back (Is a directory)" in told


def test_one_that_comes_back_on_a_rung_climbs_no_further(ladder: Ladder) -> None:
    ladder.tpu.behave("absent")
    ladder.climb("mending", times=3)
    ladder.tpu.behave("good")
    ladder.climb("ready")
    assert ladder.told[-2:] == [("mending", "usb_reset"), ("ready", "")]
