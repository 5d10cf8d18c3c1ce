"""The support bundle: what helps is in it, what is secret is not."""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from fixtures.machines.boards import CONFIG, Board, pi4
from inferd.control.commands.local_socket import NAME, LocalListener
from inferd.doctor.redact import HIDDEN, mask_table, mask_text
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine
from inferd.doctor.support_bundle import PART_BYTES, BundlePart, pack, parts
from inferd.system.clock import SystemClock

SECRET = "correct-horse-battery"  # noqa: S105 - looked for, and never to be found


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return a machine with secrets in its configuration, its password file and its log."""
    made = pi4(tmp_path / "root")
    made.write("/etc/inferd/password", f"{SECRET}\n", 0o640)
    made.configure(
        CONFIG.replace("enabled = false", 'enabled = false\nusername = "a"\npassword_file = "/etc/inferd/password"')
    )
    url = f'url = "rtsp://admin:{SECRET}@192.168.1.20/stream"'
    made.write(
        "/etc/inferd/inferd.d/cam.toml",
        f'[[pipeline]]\nname = "cam"\nmodel = "m"\nsource = {{ kind = "stream", {url} }}\n',
    )
    made.write("/etc/inferd/inferd.d/later.toml", f'[later]\napi_key = "{SECRET}"\ntokens = ["{SECRET}"]\n')
    made.prints(
        "journalctl", f"INFO opened rtsp://admin:{SECRET}@192.168.1.20\nERROR login with password={SECRET} refused"
    )
    return made


def packed(board: Board) -> dict[str, BundlePart]:
    world = board.world()
    return {part.name: part for part in parts(world, examine(world, CHECKS))}


def test_no_part_holds_a_secret(board: Board) -> None:
    assert [part.name for part in packed(board).values() if SECRET.encode() in part.content] == []


def test_the_bundle_holds_what_helps(board: Board) -> None:
    names = {name for name, part in packed(board).items() if part.content}
    config = {f"config/{name}.toml.json" for name in ("inferd", "cam", "later")}
    rest = {"doctor.json", "versions.txt", "models.json", "state.txt", "machine.txt", "journal.txt", "inferd.service"}
    assert names == config | rest


def test_a_configuration_that_is_no_toml_stays_out_because_it_cannot_be_cleaned(board: Board) -> None:
    board.configure(f'[mqtt\npassword = "{SECRET}"')
    part = packed(board)["config/inferd.toml.json"]
    assert part.content == b""
    assert "cannot be read" in part.why_not


def test_what_is_left_out_says_why(board: Board) -> None:
    board.remove("/usr/bin/journalctl")
    board.environment["PATH"] = "/usr/bin"
    assert packed(board)["journal.txt"].why_not == "there is no journalctl on this system"


def test_a_long_log_is_cut_to_its_end(board: Board) -> None:
    board.program("journalctl", "seq 1 200000")
    part = packed(board)["journal.txt"]
    assert len(part.content) == PART_BYTES
    assert part.content.endswith(b"\n200000\n")


def test_the_archive_can_be_unpacked_and_lies_in_one_folder(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    file.write_bytes(pack(list(packed(board).values()), "inferd-support-kitchen", 0.0))
    with tarfile.open(file) as archive:
        assert {name.partition("/")[0] for name in archive.getnames()} == {"inferd-support-kitchen"}


def test_what_the_running_agent_tells_is_in_the_bundle(board: Board) -> None:
    folder = board.root / "run/inferd"
    told = {"list": [{"key": "cam", "follows": "digits"}], "log": [{"kind": "model.active"}]}
    status = {"metrics": {"fps": 14.6}, "pipelines": {"cam": {"why": f"rtsp://admin:{SECRET}@192.168.1.20 is silent"}}}
    with answering(folder, told, status):
        found = packed(board)
    assert msgspec.json.decode(found["agent/models.json"].content) == told["list"]
    assert msgspec.json.decode(found["agent/model-log.json"].content) == told["log"]
    agent = msgspec.json.decode(found["agent/status.json"].content)
    assert agent["metrics"] == {"fps": 14.6}
    assert agent["pipelines"]["cam"]["why"] == "rtsp://192.168.1.20 is silent"


def test_an_agent_that_does_not_run_is_said(board: Board) -> None:
    assert "no agent runs there" in packed(board)["agent/status.json"].why_not


@contextmanager
def answering(folder: Path, told: Mapping[str, object], status: object) -> Iterator[None]:
    """Have a control socket in a folder that answers three questions, as control's turn does."""
    listener, stop = LocalListener(folder, NAME, "all", SystemClock()), threading.Event()

    def serve() -> None:
        while not stop.is_set():
            for call in listener.pop_calls():
                verb = call.request.verb
                answer = status if verb == "status" else told[verb.removeprefix("models/")]
                call.answer(msgspec.json.encode(answer))
            stop.wait(0.01)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield
    finally:
        stop.set()
        server.join()
        listener.close()


def test_a_path_to_a_secret_is_none() -> None:
    assert mask_table({"password_file": "/etc/inferd/password"}) == {"password_file": "/etc/inferd/password"}


def test_values_of_keys_that_are_called_like_secrets_are_hidden_whatever_they_are() -> None:
    table = {"mqtt": {"password": "a", "token": ["b"], "port": 1883}, "auth": {"user": "c"}}
    assert mask_table(table) == {"mqtt": {"password": HIDDEN, "token": HIDDEN, "port": 1883}, "auth": HIDDEN}


@pytest.mark.parametrize(
    "line",
    [
        f"password={SECRET}",
        f'"password": "{SECRET}"',
        f"token: {SECRET}",
        f"mqtts://u:{SECRET}@h",
        f"API_KEY='{SECRET}'",
    ],
)
def test_secrets_in_text_are_hidden(line: str) -> None:
    assert SECRET not in mask_text(line)


def test_ordinary_words_stay() -> None:
    line = "model active: digits v1.0.0, keepalive 30 s, 12 keys"
    assert mask_text(line) == line
