"""READY=1 and WATCHDOG=1 for systemd: sent for what control has observed, never by a bare timer.

Control passes each pipeline's states, its own and the worker's, and the worker's counts to a `Watchdog`. Once a
turn the rules below look at all accounts; `answered` decides READY=1, `overdue` whether WATCHDOG=1 is held back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferd.ipc import Counts
from inferd.records import PipelineState
from inferd.system.clock import Clock
from inferd.system.sd_notify import Notifier

log = logging.getLogger(__name__)

GRACE_S = 5.0  # control's own supervision acts at its deadline and needs 2 s to reap; systemd is the second line
FIRST_FRAME_S = (
    5.0  # a source that has not given a frame so long after its model was loaded is why there is no inference
)
FEED_S = 1.0
STATUS_S = 5.0
NAMED_ONE_BY_ONE = 4  # pipelines that a status names; more are counted
StateSource = Literal["trial", "control", "worker", "person"]
SUPERSEDED = "superseded"  # the one cause of a lost frame that says nothing of what became of the one before it
VERDICTS = ("failed", "ended", "sleeping")  # states that last until someone changes something


@dataclass(slots=True)
class PipelineLiveness:
    """What is known of one pipeline.

    Attributes:
        state: as it was last said.
        why: the reason that was given for it.
        by: who said so: control while the model is tried ("trial"), control because the worker ended, the worker; or control
            because it waits for a person: to drop a model, or to make room on the disk.
        said_ns: when.
        taken_ns: when its model began to serve; 0 before.
        heard_ns: when the worker last counted for it.
        owing_ns: since when a frame waits of which nothing has come; 0 while none does.
        title: its model.
        inferred: frames since the last status.
    """

    state: PipelineState = "waiting"
    why: str = ""
    by: StateSource = "trial"
    said_ns: int = 0
    taken_ns: int = 0
    heard_ns: int = 0
    owing_ns: int = 0
    title: str = ""
    inferred: int = 0


def answered(account: PipelineLiveness, now_ns: int) -> bool:
    """Whether this pipeline has inferred, or it is known why it cannot."""
    if account.state != "waiting" or account.by in ("control", "person"):
        return True
    return bool(account.taken_ns) and now_ns - account.taken_ns > FIRST_FRAME_S * 1e9


def overdue(account: PipelineLiveness, now_ns: int, deadline_s: float, trial_s: float) -> str:
    """Return what this pipeline owes; "" where it infers or is in a named state within its deadline.

    Args:
        account: what is known.
        now_ns: monotonic time.
        deadline_s: how long the worker may show no sign of it.
        trial_s: how long a model may be tried, or a worker be brought back.
    """
    if account.state in VERDICTS or account.by == "person":
        return ""
    if account.by != "worker":
        return _late("nothing came of it", now_ns - account.said_ns, trial_s)
    signs = max(account.heard_ns, account.said_ns)
    if late := _late("the worker has not spoken of it", now_ns - signs, deadline_s):
        return late
    if account.state == "running" and account.owing_ns:
        return _late("frames came and none was inferred", now_ns - account.owing_ns, deadline_s)
    return ""


def _late(what: str, since_ns: int, limit_s: float) -> str:
    return f"{what} for {since_ns / 1e9:.0f} s" if since_ns > (limit_s + GRACE_S) * 1e9 else ""


class Watchdog:
    """Owned by control's main thread."""

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._accounts: dict[str, PipelineLiveness] = {}
        self._ready = False
        self._fed_ns = 0
        self._status_ns = clock.monotonic_ns()
        self._note = ""

    def said(self, pipeline: str, state: PipelineState, why: str, by: StateSource) -> None:
        """Record a pipeline's state and its source; the first time, the pipeline is new."""
        account = self._accounts.setdefault(pipeline, PipelineLiveness())
        account.state, account.why, account.by, account.said_ns = state, why, by, self._clock.monotonic_ns()

    def taken(self, pipeline: str, title: str) -> None:
        """Record that a model serves; the worker reports on the pipeline from now on."""
        account = self._accounts[pipeline]
        account.title, account.taken_ns = title, self._clock.monotonic_ns()
        if account.by != "worker":
            self.said(pipeline, "waiting", "its model is loaded, its first frame has not come", "worker")

    def counted(self, counts: Counts) -> None:
        """Add what the worker counted since the last call."""
        now_ns = self._clock.monotonic_ns()
        for name, counted in counts.pipelines.items():
            if (account := self._accounts.get(name)) is not None:
                account.heard_ns = now_ns
                account.inferred += counted.frames_inferred
                if counted.frames_inferred or any(cause != SUPERSEDED for cause in counted.frames_dropped):
                    account.owing_ns = 0
                elif counted.frames_in and not account.owing_ns:
                    account.owing_ns = now_ns

    def forget(self, pipeline: str) -> None:
        """Forget a pipeline that is no longer configured."""
        self._accounts.pop(pipeline, None)

    def turn(self, deadlines_s: Mapping[str, float], trial_s: float) -> None:
        """Judge all pipelines, and notify systemd.

        Args:
            deadlines_s: by pipeline, how long it may show no sign.
            trial_s: see `overdue`.
        """
        now_ns = self._clock.monotonic_ns()
        if not self._ready:
            self._ready = all(answered(one, now_ns) for one in self._accounts.values()) and self._notifier.ready(
                self._status(now_ns)
            )
        due = {name: overdue(one, now_ns, deadlines_s[name], trial_s) for name, one in self._accounts.items()}
        self._hold_back("; ".join(f"{name}: {owed}" for name, owed in due.items() if owed))
        if not self._note and now_ns - self._fed_ns >= FEED_S * 1e9 and self._notifier.alive():
            self._fed_ns = now_ns
        if now_ns - self._status_ns >= STATUS_S * 1e9:
            self._notifier.status(self._status(now_ns))

    @property
    def held_back(self) -> str:
        """Why the watchdog is not fed; "" where it is."""
        return self._note

    def reloading(self) -> None:
        """Report that a reload has begun."""
        if self._ready:
            self._notifier.reloading(self._clock.monotonic_ns())

    def reloaded(self, note: str) -> None:
        """Report that the reload is over, and what came of it."""
        if self._ready:
            self._notifier.ready(note)

    def stopping(self) -> None:
        """Report that the service is about to end."""
        self._notifier.stopping()

    def _hold_back(self, note: str) -> None:
        if note and not self._note:
            log.error("systemd's watchdog is not fed: %s", note)
        self._note = note

    def _status(self, now_ns: int) -> str:
        """Return one line on all pipelines, and begin a new count of frames."""
        elapsed_s = (now_ns - self._status_ns) / 1e9
        told = [_sentence(name, one, elapsed_s) for name, one in self._accounts.items()]
        if len(told) > NAMED_ONE_BY_ONE:
            states = [one.state for one in self._accounts.values()]
            told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        for one in self._accounts.values():
            one.inferred = 0
        self._status_ns = now_ns
        return "; ".join([*told, *([f"watchdog not fed: {self._note}"] if self._note else [])])


def _sentence(name: str, account: PipelineLiveness, elapsed_s: float) -> str:
    if account.state == "running":
        fps = f"{account.inferred / elapsed_s:.1f} fps" if elapsed_s >= 1 else "first inference done"
        return f"{name}: running, {account.title}, {fps}"
    return f"{name}: {account.state}, {account.why}"
