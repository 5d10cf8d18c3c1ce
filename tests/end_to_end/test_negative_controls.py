"""For each promise of reliability: take its protection away, and see the test that keeps it go red.

Each control changes one place in a copy of the code and runs one test on it. A place that is no longer found is an error, so
that controls move with the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Control:
    """A protection, by what is taken away of it, and the test that must then fail."""

    name: str
    file: str
    protection: str
    instead: str
    test: str


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


@pytest.mark.slow
@pytest.mark.timeout(180)  # a protection that is missed may show by nothing but a wait
@pytest.mark.parametrize("control", CONTROLS, ids=[control.name for control in CONTROLS])
def test_without_its_protection_the_test_goes_red(control: Control, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "agent" / "inferd", tmp_path / "inferd", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "inferd" / control.file
    code = file.read_text()
    assert code.count(control.protection) == 1, f"{control.file} has changed; mend this control"
    file.write_text(code.replace(control.protection, control.instead))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "20", control.test]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout or "Timeout" in done.stdout + done.stderr
