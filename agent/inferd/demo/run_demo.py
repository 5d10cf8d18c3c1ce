"""Runs the demo: a broker, the agent, someone who listens, and a face that shows it; then ends them in reverse."""

from __future__ import annotations

import selectors
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

from inferd.bundled_files import bundled
from inferd.config import settings
from inferd.demo.agent import DemoAgent
from inferd.demo.broker import HOST, DemoBroker, find_broker
from inferd.demo.clip import read_clip
from inferd.demo.plain_text import DemoNotes, line, opening, summary
from inferd.demo.view import DemoState, DemoView
from inferd.system.clock import Clock
from inferd.system.processes.waitable_signals import Signals
from inferd.telemetry.mqtt.subscriber import Subscriber
from inferd.wire import topics

PIPELINE = "digits"
REFRESH_S = 0.25
FIRST_RESULT_S = 90.0  # the imports of a cold SD card included
SUBSCRIBE_S = 3.0
LAST_WORDS_S = 1.0  # from the agent's end to its "offline" on the screen's side
LOOK_S = 0.05

Echo = Callable[[str], None]


class DemoDisplay(Protocol):
    """Shows a view to a person, or to a log."""

    def show(self, view: DemoView, running_s: float) -> None:
        """Show what there is now; called several times a second."""

    def close(self) -> None:
        """Give back what was taken. Twice is fine."""


class PlainTextDisplay:
    """The face where there is no terminal: one line a second."""

    def __init__(self, echo: Echo) -> None:
        """Write with `echo`."""
        self._echo = echo
        self._second = -1

    def show(self, view: DemoView, running_s: float) -> None:
        """Write a line where a second has passed since the last one."""
        if int(running_s) > self._second:
            self._second = int(running_s)
            self._echo(line(view, running_s))

    def close(self) -> None:
        """Nothing was taken."""


class Demo:
    """One run of the demo; made and run by the main thread."""

    def __init__(
        self, port: int, program: str, echo: Echo, make_face: Callable[[DemoNotes], DemoDisplay], clock: Clock
    ) -> None:
        """Prepare; nothing is started before `run`.

        Args:
            port: where a broker is looked for, and where ours listens if that is free.
            program: how `inferd` is called here.
            echo: writes a line before the face opens and after it closed.
            make_face: opens the face.
            clock: times everything.
        """
        self._port = port
        self._program = program
        self._echo = echo
        self._make_face = make_face
        self._clock = clock
        self._device = f"demo-{uuid4().hex[:4]}"
        self._scene = DemoState(read_clip(bundled(PIPELINE) / "clip.json"), PIPELINE)
        self._subscriber: Subscriber | None = None
        self._stopping = False
        self._offline = False

    def run(self, seconds: float | None) -> None:
        """Run until Ctrl-C or SIGTERM, or for so many `seconds` after the first result; leave nothing behind.

        Raises:
            WorkerError: the agent did not start, or died.
        """
        with ExitStack() as stack:
            self._signals = stack.enter_context(Signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._signals, selectors.EVENT_READ)
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="inferd-demo-")))
            broker = find_broker(self._port, folder / "broker.log", stack, self._pause)
            notes = self._notes(broker)
            for text in opening(notes):
                self._echo(text)
            self._subscribe(broker, stack)
            if not self._stopping:
                agent = DemoAgent(folder, self._device, broker.settings)
                stack.callback(self._end, agent, broker)
                with closing(self._make_face(notes)) as face:
                    self._watch(agent, face, seconds)
        for text in summary(self._scene.view(), notes):
            self._echo(text)

    def _watch(self, agent: DemoAgent, face: DemoDisplay, seconds: float | None) -> None:
        """Hear and show until it is time to end.

        Raises:
            WorkerError: the agent ended, refused its model, or gave no result for too long.
        """
        started_ns = self._clock.monotonic_ns()
        ends_s: float | None = None
        while not self._pause(REFRESH_S):
            self._hear(agent)
            agent.check()
            view = self._scene.view(self._deaf())
            running_s = (self._clock.monotonic_ns() - started_ns) / 1e9
            face.show(view, running_s)
            if not view.seen:
                _check_start(agent, view, running_s)
            elif seconds is not None:
                ends_s = running_s + seconds if ends_s is None else ends_s
                if running_s >= ends_s:
                    return

    def _subscribe(self, broker: DemoBroker, stack: ExitStack) -> None:
        """Listen before the agent speaks, for not all that it says is retained."""
        if broker.settings is None:
            return
        self._subscriber = stack.enter_context(Subscriber(broker.settings, [self._topic("#")]))
        for _ in range(round(SUBSCRIBE_S / LOOK_S)):
            if self._subscriber.ready or self._pause(LOOK_S):
                return

    def _hear(self, agent: DemoAgent) -> None:
        """Take in all that was said since the last time."""
        for printed in agent.printed():
            self._scene.hear(topics.RESULT.message(b"", PIPELINE).topic, printed)
        for heard in self._subscriber.pop_all() if self._subscriber else ():
            topic = heard.topic.removeprefix(self._topic(""))
            self._scene.hear(topic, heard.payload)
            self._offline |= (topic, heard.payload) == (topics.STATUS.path, topics.OFFLINE)

    def _deaf(self) -> str:
        """Return why the agent cannot be heard; it goes on all the same."""
        if self._subscriber is None or self._subscriber.ready:
            return ""
        return f"the broker cannot be heard: {self._subscriber.why}"

    def _end(self, agent: DemoAgent, broker: DemoBroker) -> None:
        """End the agent, hear its last words, and leave nothing on a broker that stays."""
        if not agent.stop():
            self._echo("the agent did not end in time and was killed")
        self._hear(agent)
        if self._subscriber is None:
            return
        for _ in range(round(LAST_WORDS_S / LOOK_S)):
            if self._offline or not self._subscriber.ready:
                break
            self._clock.pause(LOOK_S)  # not ours: that one ends at once when we were told to end
            self._hear(agent)
        if not broker.ours:
            for topic in (topic for topic in topics.TOPICS if topic.retain):
                self._subscriber.send(self._topic(topic.message(b"", PIPELINE).topic), b"", retain=True)

    def _pause(self, seconds: float) -> bool:
        """Wait; return whether we were told to end, then at once."""
        if not self._stopping:
            self._selector.select(seconds)
            self._stopping = bool(self._signals.take())
        return self._stopping

    def _topic(self, below: str) -> str:
        return topics.full_topic(settings.Mqtt().prefix, self._device, below)

    def _notes(self, broker: DemoBroker) -> DemoNotes:
        watch = ""
        if broker.settings is not None:
            watch = f"mosquitto_sub -h {HOST} -p {broker.settings.port} -t '{self._topic('#')}' -v"
        return DemoNotes(broker.told, watch, self._program, str(bundled(PIPELINE)))


def _check_start(agent: DemoAgent, view: DemoView, running_s: float) -> None:
    """See that there may still be a first result.

    Raises:
        WorkerError: there will be none.
    """
    if view.status == "failed":
        raise agent.failure(f"cannot do its work ({view.why})")
    if running_s > FIRST_RESULT_S:
        raise agent.failure(f"gave no result in {FIRST_RESULT_S:.0f} s")
