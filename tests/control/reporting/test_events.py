"""What control tells of what the worker says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.agents.fake_pipeline import pipeline
from inferd import ipc
from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.models.select_serving import ModelEnvironment
from inferd.control.processes.watchdog import Watchdog
from inferd.control.reporting.events import EventReporter
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.records import LabelSummary
from inferd.system.clock import CountingClock
from inferd.system.sd_notify import Notifier
from inferd.telemetry.memory_link import MemoryLink

SEEN = LabelSummary({"person": 1})
BOTH = settings.Config(pipeline=(pipeline("cam"), pipeline("door")))


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink(settings.Mqtt(), "pi")


@pytest.fixture
def tell(link: MemoryLink, tmp_path: Path) -> EventReporter:
    clock, options = CountingClock(), settings.ModelsConfig()
    life = PersistentModelState(tmp_path, options, clock, "boot")
    models = Models(ModelEnvironment(life, DropFolder(tmp_path / "models", options, clock), options, "", clock))
    figures = MetricsReporter(clock, settings.MetricsConfig(power="off"), tmp_path, tmp_path)
    narrator = EventReporter(Publisher("pi", [link], clock), models, figures, Watchdog(Notifier(""), clock))
    narrator.started(BOTH)
    return narrator


def test_a_settled_answer_is_told(link: MemoryLink, tell: EventReporter) -> None:
    tell.handle_message(ipc.Settled("door", SEEN))
    assert len(link.payloads("door/state")) == 1


def test_the_last_words_of_a_pipeline_that_is_gone_bring_no_topic_back(link: MemoryLink, tell: EventReporter) -> None:
    tell.configure(settings.Config(pipeline=BOTH.pipeline[:1]))
    before = link.payloads("door/state")
    tell.handle_message(ipc.Settled("door", SEEN))
    assert link.payloads("door/state") == before
