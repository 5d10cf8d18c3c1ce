"""Clears what a broker retains of pipelines that were renamed or removed while the agent was off."""

from __future__ import annotations

import logging
from collections.abc import Collection

from inferd.control.reporting.publisher import Publisher
from inferd.errors import ConfigError
from inferd.records import Incoming
from inferd.wire.topics import PIPELINE_STATUS, check_pipeline_name, full_topic

MOST_CLEARED = 32  # since the start: any client may publish below our topics, and each name costs messages

log = logging.getLogger(__name__)


class StaleTopics:
    """Reads the retained `<pipeline>/status` that come at connect. Owned by control's main thread."""

    def __init__(self, publisher: Publisher, prefix: str) -> None:
        """Clear by `publisher` what is retained below `prefix` and its device."""
        self._publisher = publisher
        self._below = full_topic(prefix, publisher.device, "")
        self._suffix = PIPELINE_STATUS.path.removeprefix("<pipeline>")
        self._cleared: set[str] = set()

    def handle(self, incoming: Incoming, configured: Collection[str]) -> None:
        """Clear the topics of a pipeline if the broker retains its status and it is not among those `configured`."""
        below = incoming.topic.removeprefix(self._below)
        if not (incoming.retained and incoming.payload and below.endswith(self._suffix)):
            return
        name = below.removesuffix(self._suffix)
        if name in configured or name in self._cleared or len(self._cleared) >= MOST_CLEARED or not _may_be(name):
            return
        self._cleared.add(name)
        log.info("pipeline %s is not configured; clearing what the broker retains of it", name)
        self._publisher.clear_retained(name)


def _may_be(name: str) -> bool:
    try:
        return bool(check_pipeline_name(name))
    except ConfigError:
        return False
