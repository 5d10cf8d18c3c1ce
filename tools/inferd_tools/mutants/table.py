"""Which tests judge which modules, and the controls: protections that must never be missed.

A control names a protection by its code and the one test that must fail without it; all of them run with every `make test`
(tests/end_to_end/test_negative_controls.py). The areas are for `make mutants`, which generates faults by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Area:
    """Modules below agent/inferd, by patterns, and the tests that keep their promises.

    Attributes:
        marks: which of the tests run, as pytest's -m takes it: those that take minutes are left to `make test`.
    """

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    limit_s: float = 120.0
    marks: str = ""

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
    Area("spool", ("telemetry/spool/*.py",), ("tests/telemetry/outgoing", "tests/telemetry/spool"), 240.0, "not slow"),
    Area("link", ("telemetry/outgoing/*.py",), ("tests/telemetry/outgoing", "tests/contracts/test_link.py")),
    Area(
        "link",
        tuple(f"telemetry/mqtt/{name}.py" for name in ("connection", "inbound", "link", "backoff", "packet_cutter")),
        (
            *(f"tests/telemetry/mqtt/test_{name}.py" for name in ("backoff", "packet_cutter", "connection", "link")),
            "tests/telemetry/mqtt/test_packet_limits.py",
            "tests/contracts/test_link.py",
        ),
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
        "a model offered to a busy worker is offered again",
        "system/processes/latest_sender.py",
        "        self._unsent[subject] = message, copies\n",
        "        _close(copies)\n",
        "tests/system/processes/test_latest_sender.py::test_a_message_for_a_full_channel_arrives_once_there_is_room",
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
        "a model whose golden picture is answered otherwise is refused",
        "vet/golden_pictures.py",
        "if not abs(wanted - got) <= allowed",
        "if False and allowed",
        "tests/vet/test_pipeline_steps.py::test_a_first_model_that_answers_its_golden_picture_otherwise_is_refused[bgr]",
    ),
    Control(
        "no link beside a dropped model is followed",
        "store/formats/bounded_file.py",
        "(os.O_NOFOLLOW if no_links else 0)",
        "0",
        "tests/store/storage/test_bundle_links.py::"
        "test_a_link_beside_a_dropped_model_is_refused_and_nothing_of_its_target_is_kept[names.txt]",
    ),
    Control(
        "a copy that stalls is given time",
        "store/drop_folder/settle.py",
        "now_ns - watched.changed_ns >= wait_ns",
        "True",
        "tests/store/drop_folder/test_settle.py::test_a_file_that_ends_too_early_is_given_time_to_grow",
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
    Control(
        "boxes that overlap by little are two objects",
        "tasks/postprocess/nms.py",
        "> iou_threshold",
        "> 0.0",
        "tests/tasks/postprocess/test_nms.py::test_boxes_that_overlap_by_less_than_the_threshold_are_two_objects",
    ),
    Control(
        "a message that must arrive is kept until there is room",
        "worker/outbound.py",
        "                    return\n                del self._waiting[subject]",
        "                    pass\n                del self._waiting[subject]",
        "tests/worker/test_outbound.py::test_a_message_that_must_arrive_waits_until_there_is_room",
    ),
    Control(
        "a file that changed since it was listed is not judged",
        "vet/child.py",
        "if not all(map(_unchanged, request.files)):",
        "if False:",
        "tests/vet/test_changed_file.py::test_a_file_that_was_written_since_it_was_listed_is_vetted_again",
    ),
    Control(
        "a vet child has no network",
        "system/processes/process.py",
        "    if limits.alone:\n        _leave_network()\n",
        "",
        "tests/system/processes/test_fork_server.py::test_a_vet_child_is_cut_off_from_the_network",
    ),
    Control(
        "a quarantined model does not come back where the active one is lost",
        "store/lifecycle/slots.py",
        '"" if slots.previous in state.quarantine else slots.previous',
        "slots.previous",
        "tests/store/lifecycle/test_slots.py::test_where_the_active_model_cannot_serve_a_quarantined_one_does_not",
    ),
    Control(
        "only a few results wait for the answers of a cascade",
        "worker/cascade.py",
        "len(self._held) > MOST_HELD or ",
        "",
        "tests/worker/test_cascade.py::test_the_oldest_result_does_not_wait_for_answers_when_too_many_wait",
    ),
    Control(
        "of a received message no more than a bound is kept",
        "telemetry/mqtt/inbound.py",
        "one.payload[:MAX_PAYLOAD_BYTES]",
        "one.payload",
        "tests/telemetry/mqtt/test_packet_limits.py::test_of_a_request_no_more_is_kept_than_the_longest_valid_one_has",
    ),
    Control(
        "a source that fails again and again is opened less and less often",
        "worker/capture.py",
        "self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)",
        "pass",
        "tests/worker/test_capture.py::test_each_pause_before_a_source_is_opened_again_is_longer_up_to_a_bound",
    ),
    Control(
        "a message between processes has a bound",
        "system/processes/channel.py",
        "if size > MESSAGE_BYTES:",
        "if False:",
        "tests/system/processes/test_channel.py::test_a_message_beyond_the_bound_is_refused_and_its_descriptors_are_closed",
    ),
    Control(
        "when the spool thins, the younger segment is gone before the older",
        "telemetry/spool/segments.py",
        "        sync_folder(lane_files.folder, self._disk)\n        self._disk.unlink(old.path)",
        "        self._disk.unlink(old.path)",
        "tests/telemetry/spool/test_thinning.py::test_the_younger_segment_is_surely_gone_before_the_older_one_goes",
    ),
    Control(
        "a frame that is counted during a drain is not lost",
        "pipeline.py",
        "        with self._lock:\n            self._sort_noted()",
        "        if True:\n            self._sort_noted()",
        "tests/test_pipeline.py::test_a_frame_that_is_counted_while_the_counters_are_drained_is_counted_once",
    ),
    Control(
        "a wake-up does not reach another file",
        "system/wakeup.py",
        "        with self._lock:\n            if self._fd >= 0:",
        "        if True:\n            if self._fd >= 0:",
        "tests/system/test_wakeup.py::test_a_wake_never_reaches_a_file_that_got_the_number_after_the_close",
    ),
    Control(
        "a worker that reads nothing does not hold control up",
        "control/processes/supervisor.py",
        "self._sender.send(subject, message, fds)",
        "self._channel and self._channel.send(message, fds)",
        "tests/control/processes/test_supervisor.py::test_a_worker_that_reads_nothing_never_holds_control_up",
    ),
)
