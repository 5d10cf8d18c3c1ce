"""What Home Assistant can be told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inferd.wire import topics
from inferd.wire.requests import Access

Entity = dict[str, Any]  # Any: a JSON object, as Home Assistant's schemas have it


class DeviceFacts(msgspec.Struct, frozen=True):
    """What there is to tell of.

    Attributes:
        device: its id in topics.
        prefix: the first level of its topics.
        version: of inferd.
        board: what the firmware says; "" where it says nothing.
        os: the distribution.
        tasks: by pipeline; several while a new model is on trial, none where no model has been seen yet.
        zones: names of the zones of each pipeline.
        lines: names of the lines of each pipeline.
        images: pipelines that publish a picture.
        unavailable: metrics that this device cannot tell, by their names.
        basis: whether power is "measured" or "estimated"; "" where it is neither.
        metered: whether roll-ups take the place of metrics.
        access: which plain requests the device carries out.
    """

    device: str
    prefix: str
    version: str = ""
    board: str = ""
    os: str = ""
    tasks: Mapping[str, tuple[str, ...]] = {}
    zones: Mapping[str, tuple[str, ...]] = {}
    lines: Mapping[str, tuple[str, ...]] = {}
    images: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()
    basis: str = ""
    metered: bool = False
    access: Access = "none"

    def topic(self, path: topics.Topic, pipeline: str = "") -> str:
        """Return a full topic of this device."""
        return topics.full_topic(self.prefix, self.device, path.path.replace("<pipeline>", pipeline))
