"""Which tests judge which modules, and the controls: protections that must never be missed.

A control names a protection by its code and the one test that must fail without it; all of them run with every `make test`
(tests/end_to_end/test_negative_controls.py). The areas are for `make mutants`, which generates faults by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Area:
    """Modules below agent/inferd, by patterns, and the tests that keep their promises."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    limit_s: float = 120.0

    def files(self, package: Path) -> list[str]:
        """Return its modules as paths below the package."""
        found = {path for pattern in self.modules for path in package.glob(pattern) if path.name != "__init__.py"}
        return sorted(str(path.relative_to(package)) for path in found)


AREAS = (
    Area("store", ("store/lifecycle/*.py",), ("tests/store/lifecycle",)),
    Area("store", ("store/storage/*.py",), ("tests/store/storage", "tests/store/lifecycle")),
    Area("store", ("store/drop_folder/*.py",), ("tests/store/drop_folder", "tests/control/models/test_drop_folder.py")),
    Area("store", ("store/description/*.py",), ("tests/store/description", "tests/store/formats")),
    Area("store", ("store/formats/*.py",), ("tests/store/formats", "tests/store/description")),
    Area("spool", ("telemetry/spool/*.py",), ("tests/telemetry/outgoing", "tests/telemetry/spool"), 240.0),
    Area("link", ("telemetry/outgoing/*.py",), ("tests/telemetry/outgoing", "tests/contracts/test_link.py")),
    Area(
        "link",
        tuple(f"telemetry/mqtt/{name}.py" for name in ("connection", "inbound", "link", "backoff", "packet_cutter")),
        (
            *(f"tests/telemetry/mqtt/test_{name}.py" for name in ("backoff", "packet_cutter", "connection", "link")),
            "tests/telemetry/mqtt/test_packet_limits.py",
            "tests/contracts/test_link.py",
            "tests/telemetry/mqtt/test_link_faults.py",
        ),
        300.0,
    ),
    Area("vet", ("vet/*.py",), ("tests/vet",), 300.0),
    Area("preprocess", ("preprocess/image/*.py",), ("tests/preprocess/image",)),
    Area("tasks", ("tasks/*.py", "tasks/postprocess/*.py", "tasks/rules/*.py"), ("tests/tasks",)),
)


@dataclass(frozen=True, slots=True)
class Control:
    """A protection, by what is taken away of it, and the test that must then fail."""

    name: str
    file: str
    protection: str
    instead: str
    test: str

    def apply(self, source: str) -> str:
        """Return the module without the protection.

        Raises:
            ValueError: the protection does not stand there exactly once any more.
        """
        if source.count(self.protection) != 1:
            raise ValueError(
                f"{self.file} has changed: {self.protection!r} stands there {source.count(self.protection)} times"
            )
        return source.replace(self.protection, self.instead)


CONTROLS = (
    Control(
        "children die with their fork server",
        "system/processes/fork_server.py",
        "    die_with_parent(parent)\n",
        "",
        "tests/system/processes/test_fork_server.py::test_children_die_with_the_fork_server",
    ),
    Control(
        "a hung worker is noticed",
        "control/processes/supervisor.py",
        "still_ns[slot] > engines_ns[key]",
        "False",
        "tests/end_to_end/service/test_whole_agent.py::test_a_model_that_hangs_is_named_and_its_worker_replaced",
    ),
    Control(
        "the engine at work is blamed",
        "worker/loaded_engine.py",
        "self._begin(Busy.ENGINE)",
        "self._begin(Busy.IDLE)",
        "tests/end_to_end/service/test_whole_agent.py::test_a_worker_that_crashes_is_blamed_on_its_model_and_replaced",
    ),
    Control(
        "time in which control slept is held against nobody",
        "control/processes/supervisor.py",
        "min(now_ns - self._looked_ns, LONGEST_NAP_NS)",
        "now_ns - self._looked_ns",
        "tests/control/processes/test_supervisor.py::test_time_in_which_control_itself_did_not_run_is_held_against_nobody",
    ),
    Control(
        "a source that cannot be opened is not tried in a busy loop",
        "worker/capture.py",
        "self._stop.wait(pause_s)",
        "self._stop.wait(0)",
        "tests/worker/test_capture.py::test_a_source_that_cannot_be_opened_is_not_tried_in_a_busy_loop",
    ),
    Control(
        "the last frame is on its way before the end is told",
        "worker/capture.py",
        "                    self._wait_until_inferred()",
        "                    pass",
        "tests/end_to_end/service/test_whole_agent.py::test_the_figures_count_every_frame_once",
    ),
    Control(
        "a slow control does not hold the worker up",
        "system/processes/channel.py",
        "self._send(self._encoder.encode(message), fds, socket.MSG_DONTWAIT)",
        "self._send(self._encoder.encode(message), fds, 0)",
        "tests/system/processes/test_channel.py::test_an_offer_to_a_full_channel_is_counted_and_does_not_wait",
    ),
    Control(
        "an offer of a large message or a descriptor does not wait",
        "system/processes/channel.py",
        "self._sock.sendmsg([data], rights, flags)",
        "self._sock.sendmsg([data], rights) if rights else self._sock.send(data, flags)",
        "tests/system/processes/test_channel.py::test_an_offer_of_a_large_message_or_a_descriptor_never_waits",
    ),
    Control(
        "what waits for a broker waits with us, not in paho's queue",
        "telemetry/mqtt/connection.py",
        "len(self._unacknowledged) < WINDOW - left_over",
        "True",
        "tests/telemetry/mqtt/test_link_faults.py::test_nothing_is_lost_and_everything_comes_in_order[broker stopped for long]",
    ),
    Control(
        "no request ends the agent, however it is nested",
        "wire/decoding.py",
        "    try:\n        return decoder.decode(content)",
        "    return decoder.decode(content)\n    try:\n        pass",
        "tests/telemetry/mqtt/test_hostile.py::test_no_client_of_a_broker_ends_the_agent_or_makes_it_grow[3.1.1]",
    ),
    Control(
        "a publish of 200 MB costs no memory",
        "telemetry/mqtt/packet_cutter.py",
        "kept = min(length, self._limit_bytes)",
        "kept = length",
        "tests/telemetry/mqtt/test_hostile.py::test_no_client_of_a_broker_ends_the_agent_or_makes_it_grow[5]",
    ),
    Control(
        "a topic that is not UTF-8 costs no connection",
        "telemetry/mqtt/connection.py",
        "        except Exception:  # noqa: BLE001 - the broker's",
        "        except ZeroDivisionError:  # the broker's",
        "tests/telemetry/mqtt/test_hostile.py::test_no_client_of_a_broker_ends_the_agent_or_makes_it_grow[3.1.1]",
    ),
    Control(
        "what is live overtakes what was missed",
        "telemetry/mqtt/socket_options.py",
        "    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)\n",
        "",
        "tests/telemetry/mqtt/test_link_faults.py::test_on_a_slow_way_a_live_message_waits_for_little_of_what_was_missed",
    ),
    Control(
        "a batch is acknowledged or sent again",
        "telemetry/outgoing/backlog.py",
        "            self._spool.rewind()\n",
        "            pass\n",
        "tests/telemetry/outgoing/test_backlog.py::test_a_batch_that_was_not_acknowledged_leaves_again_as_it_was",
    ),
    Control(
        "a request that was recorded before a restart is refused",
        "telemetry/encryption/requests.py",
        "told.boot_id != self._speaker.boot_id",
        "False",
        "tests/telemetry/encryption/test_requests.py::test_a_request_that_was_recorded_before_a_restart_is_refused",
    ),
    Control(
        "a request that is remembered no longer is too old",
        "telemetry/encryption/requests.py",
        "self._oldest = max(self._oldest, quoted)",
        "pass",
        "tests/telemetry/encryption/test_requests.py::test_what_is_remembered_no_longer_is_too_old",
    ),
    Control(
        "a model whose answers are not its golden ones is refused",
        "vet/behaviour.py",
        "if not worst <= allowed:",
        "if False:",
        "tests/vet/test_sabotage.py::test_a_sabotaged_model_is_refused_for_what_was_broken[golden outputs]",
    ),
    Control(
        "a model is not blamed for one kill of its vet child",
        "control/models/vetting.py",
        "again=before != queue.subject",
        "again=False",
        "tests/end_to_end/models/test_lifecycle.py::test_one_kill_of_a_vet_child_is_not_held_against_its_model",
    ),
    Control(
        "the model that comes with inferd is the last resort",
        "store/lifecycle/slots.py",
        "and not (active and one.items == (FACTORY,))",
        "",
        "tests/store/lifecycle/test_slots.py::test_the_factorys_model_never_takes_the_place_of_one_whose_file_is_removed",
    ),
)
