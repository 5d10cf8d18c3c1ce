"""What a trial counts, and what control asks of the worker before it ends one: `worker/shadow_replay.py` answers."""

from __future__ import annotations

import msgspec

from inferd import ipc
from inferd.control.models.engine_keys import Followed
from inferd.engine_choice import fitting_engine
from inferd.histogram import HistogramData
from inferd.store.lifecycle.state import KeySlots
from inferd.store.lifecycle.trial import TrialFailed
from inferd.vet.cpu_fallback import on_cpu
from inferd.wire.manifest import ModelDescription


def count(one: Followed, pipeline: str, told: ipc.PipelineCounts) -> None:
    """Take what a pipeline counted, for its trial where there is one."""
    if one.watched is None:
        one.usual.add(told.latency["total"])
    elif pipeline in one.mixed:  # in this second the model before gave results, too
        one.mixed.discard(pipeline)
        one.watched.add(0, told.frames_dropped, HistogramData())
    else:
        one.watched.add(told.frames_inferred, told.frames_dropped, told.latency["total"])


def question(one: Followed, now: KeySlots, now_ns: int) -> tuple[ipc.ShadowReplay, list[int]]:
    """Return what is asked about the model on trial, and the descriptor of the model before.

    An accelerator belongs to the one that serves: the model before runs as its CPU twin, and is not timed.
    """
    before, engine = one.held.get(now.active), on_cpu(one.named.engine)
    if before is None or (fitting_engine(before.description, one.named.engine).delegate and before.twin is None):
        return ipc.ShadowReplay(one.key, now.serving, None, engine), []
    slow = one.watched is not None and isinstance(one.watched.verdict(now_ns), TrialFailed)
    timed = slow and before.twin is None
    before = before.on_cpu()
    engine = fitting_engine(before.description, engine)
    asked = ipc.ShadowReplay(one.key, now.serving, before.description, engine, before.private_mb, timed)
    return asked, [before.blob_fd] if before.blob_fd is not None else []


def as_meant(told: ipc.ShadowReplayDone, one: Followed, now: KeySlots) -> ipc.ShadowReplayDone:
    """Return what came of a replay, of a model that may be meant to answer otherwise: it says so, or looks for other things.

    Of one that looks for other things, what the model before tells apart is no measure; it is only told.
    """
    before, trial = one.held.get(now.active), one.held.get(now.serving)
    if before is None or trial is None:
        return told
    others = _looks_for(trial.description) != _looks_for(before.description)
    if told.found == "differs" and (others or trial.description.manifest.model.contract == "new"):
        return msgspec.structs.replace(told, found="alike", why="")
    return msgspec.structs.replace(told, found="unknown") if told.found == "collapsed" and others else told


def _looks_for(description: ModelDescription) -> tuple[str | None, tuple[str, ...]]:
    return description.manifest.model.task, description.labels
