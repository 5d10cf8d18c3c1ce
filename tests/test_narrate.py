"""What control tells of what the worker says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.turning import pipeline
from inferd import ipc
from inferd.config import settings
from inferd.control.announce import Announcer
from inferd.control.dropped import DropFolder
from inferd.control.figures import Figures
from inferd.control.life import Life
from inferd.control.models import Models
from inferd.control.narrate import Narrator
from inferd.control.serving import Place
from inferd.control.watchdog import Watchdog
from inferd.records import Answer
from inferd.system.clock import CountingClock
from inferd.system.sd_notify import Notifier
from inferd.telemetry.memory import MemoryLink

SEEN = Answer({"person": 1})
BOTH = settings.Config(pipeline=(pipeline("cam"), pipeline("door")))


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink(settings.Mqtt(), "pi")


@pytest.fixture
def tell(link: MemoryLink, tmp_path: Path) -> Narrator:
    clock, options = CountingClock(), settings.Models()
    life = Life(tmp_path, options, clock, "boot")
    models = Models(Place(life, DropFolder(tmp_path / "models", options, clock), options, "", clock))
    figures = Figures(clock, settings.Metrics(power="off"), tmp_path, tmp_path)
    narrator = Narrator(Announcer("pi", [link], clock), models, figures, Watchdog(Notifier(""), clock))
    narrator.started(BOTH)
    return narrator


def test_a_settled_answer_is_told(link: MemoryLink, tell: Narrator) -> None:
    tell.heard(ipc.Settled("door", SEEN))
    assert len(link.payloads("door/state")) == 1


def test_the_last_words_of_a_pipeline_that_is_gone_bring_no_topic_back(link: MemoryLink, tell: Narrator) -> None:
    tell.reloaded(settings.Config(pipeline=BOTH.pipeline[:1]))
    before = link.payloads("door/state")
    tell.heard(ipc.Settled("door", SEEN))
    assert link.payloads("door/state") == before
