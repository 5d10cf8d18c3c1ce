"""What a trial counts, and the replay that control requests before it ends one: `worker/shadow_replay.py` runs it."""

from __future__ import annotations

import msgspec

from inferd import ipc
from inferd.control.models.engine_keys import EngineKey, KeyTrial
from inferd.engine_choice import fitting_engine
from inferd.histogram import HistogramData
from inferd.store.lifecycle.state import KeySlots
from inferd.store.lifecycle.trial import TrialFailed
from inferd.vet.cpu_fallback import on_cpu
from inferd.wire.manifest import ModelDescription


def count(trial: KeyTrial, pipeline: str, counted: ipc.PipelineCounts) -> None:
    """Add what a pipeline counted to its trial, or to what is usual while there is none."""
    if trial.counts is None:
        trial.usual.add(counted.latency["total"])
    elif pipeline in trial.mixed:  # in this interval the previous model gave results, too
        trial.mixed.discard(pipeline)
        trial.counts.add(0, counted.frames_dropped, HistogramData())
    else:
        trial.counts.add(counted.frames_inferred, counted.frames_dropped, counted.latency["total"])


def request_replay(one: EngineKey, now: KeySlots, now_ns: int) -> tuple[ipc.ShadowReplay, list[int]]:
    """Return the request about the model on trial, and the descriptor of the previous model.

    An accelerator belongs to the model that serves: the previous one runs as its CPU fallback, and is not timed.
    """
    before, engine = one.held.get(now.active), on_cpu(one.first.engine)
    if before is None or (fitting_engine(before.description, one.first.engine).delegate and before.fallback is None):
        return ipc.ShadowReplay(one.key, now.serving, None, engine), []
    slow = one.trial.counts is not None and isinstance(one.trial.counts.verdict(now_ns), TrialFailed)
    timed = slow and before.fallback is None
    before = before.on_cpu()
    engine = fitting_engine(before.description, engine)
    request = ipc.ShadowReplay(one.key, now.serving, before.description, engine, before.private_mb, timed)
    return request, [before.blob_fd] if before.blob_fd is not None else []


def as_meant(done: ipc.ShadowReplayDone, one: EngineKey, now: KeySlots) -> ipc.ShadowReplayDone:
    """Return the result of a replay, excusing a model that is meant to answer otherwise: by its manifest or its labels.

    A model with other labels cannot be judged by the classes that the previous one tells apart; that is only reported.
    """
    before, trial = one.held.get(now.active), one.held.get(now.serving)
    if before is None or trial is None:
        return done
    others = _looks_for(trial.description) != _looks_for(before.description)
    if done.found == "differs" and (others or trial.description.manifest.model.contract == "new"):
        return msgspec.structs.replace(done, found="alike", why="")
    return msgspec.structs.replace(done, found="unknown") if done.found == "collapsed" and others else done


def _looks_for(description: ModelDescription) -> tuple[str | None, tuple[str, ...]]:
    return description.manifest.model.task, description.labels
