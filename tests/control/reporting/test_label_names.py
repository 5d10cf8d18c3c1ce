"""Names in the configuration that must be labels of a model."""

from __future__ import annotations

import pytest

from fixtures.agents.fake_pipeline import pipeline
from inferd.config import settings
from inferd.config.pipeline_options import LineConfig, ZoneConfig
from inferd.config.telemetry import Alert, HomeAssistant
from inferd.control.reporting.label_names import unknown_labels

CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
LABELS = {"cam": ("person", "car", ""), "face": ("face",)}


def zone(*labels: str) -> settings.Config:
    return settings.Config(pipeline=(pipeline("cam", zone=(ZoneConfig("door", CORNERS, labels),)),))


def line(*labels: str) -> settings.Config:
    return settings.Config(pipeline=(pipeline("cam", line=(LineConfig("gate", (0.0, 0.0), (1.0, 1.0), labels),)),))


def crops(*labels: str) -> settings.Config:
    return settings.Config(pipeline=(pipeline("cam"), pipeline("face", source=settings.CropsSource("cam", labels))))


def alert(label: str, of: str = "cam") -> settings.Config:
    one = Alert("crowd", "label_count", of, label, above=3.0)
    return settings.Config(pipeline=(pipeline("cam"),), alert=(one,))


def count(*labels: str) -> settings.Config:
    return settings.Config(pipeline=(pipeline("cam"),), homeassistant=HomeAssistant(count={"people": labels}))


UNKNOWN = {
    "zone": (zone("persn"), "cam", "zone 'door' names 'persn', which is no label of its model; did you mean 'person'?"),
    "line": (
        line("person", "truck"),
        "cam",
        "line 'gate' names 'truck', which is no label of its model; it has person, car",
    ),
    "crops": (crops("Person"), "cam", "the source of pipeline 'face' names 'Person', which is no label of its model"),
    "alert": (alert("people"), "cam", "alert 'crowd' names 'people', which is no label of its model"),
    "alert of all pipelines": (alert("people", ""), "", "alert 'crowd' names 'people', of which no model"),
    "count": (count("human", "people"), "", "count 'people' names 'human', 'people', of which no model on this device"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_name_that_no_label_matches_is_told_in_a_sentence(name: str) -> None:
    config, of, sentence = UNKNOWN[name]
    labels = {one.name: LABELS[one.name] for one in config.pipeline}
    ((told_of, told),) = unknown_labels(config, labels)
    assert told_of == of
    assert told.startswith(sentence)


@pytest.mark.parametrize(
    "config",
    [zone("person"), zone(), line("car"), crops("person"), alert("car"), alert("", ""), count("human", "person")],
)
def test_names_that_are_labels_are_not_told(config: settings.Config) -> None:
    assert unknown_labels(config, LABELS) == []


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_told_before_the_model_is_known(name: str) -> None:
    assert unknown_labels(UNKNOWN[name][0], {}) == []
