"""The way to a broker, with real mosquittos: gone, closed to us, and with certificates that are wrong in each way."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.machines.boards import CONFIG, Board, pi4
from fixtures.network import broker as brokers
from inferd.doctor.check import Problem
from inferd.doctor.checks import broker, broker_files
from inferd.doctor.checks.broker import BrokerFacts, read_broker
from inferd.doctor.readers.mqtt_handshake import connect_packet, greet
from inferd.doctor.readers.requirements import BrokerAddress, Tls
from inferd.doctor.runner import examine

CHECKS = (*broker_files.CHECKS, *broker.CHECKS)
PATIENCE_S = 10.0

pytestmark = pytest.mark.skipif(brokers.PROGRAM is None, reason="there is no mosquitto; apt-get install mosquitto")
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl; apt-get install openssl"
)


class Secure(brokers.Mosquitto):
    """A mosquitto that shows a certificate, and asks for one where `more` says so."""

    def __init__(self, folder: Path, name: str, *more: str) -> None:
        self._certificate = [f"certfile {folder}/{name}.crt", f"keyfile {folder}/server.key", *more]
        super().__init__(folder)

    def start(self, *more: str) -> None:
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join([config.read_text(), *self._certificate]) + "\n")
        super().start(*more)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate authority, and certificates: good, expired, not yet valid, and for another name."""
    folder = tmp_path_factory.mktemp("authority")
    for key in ("ca", "server"):
        _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{key}.key")
    _openssl(
        folder, "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=our authority", "-days", "30", "-out", "ca.crt"
    )
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ncertificate=ca.crt\nprivate_key=ca.key\n"
        "default_md=sha256\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    for name, host, begins, ends in (
        ("good", "localhost", "20200101000000Z", "20990101000000Z"),
        ("expired", "localhost", "20200101000000Z", "20210101000000Z"),
        ("future", "localhost", "20980101000000Z", "20990101000000Z"),
        ("other", "broker.example", "20200101000000Z", "20990101000000Z"),
    ):
        asked = ("req", "-new", "-key", "server.key", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
        _openssl(folder, *asked, "-out", f"{name}.csr")
        signed = ("ca", "-batch", "-config", "ca.conf", "-startdate", begins, "-enddate", ends, "-notext")
        _openssl(folder, *signed, "-in", f"{name}.csr", "-out", f"{name}.crt")
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return a healthy machine."""
    return pi4(tmp_path / "root")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[brokers.Mosquitto]:
    """Give a broker that lets in only the user "camera" with the password "right"."""
    folder = tmp_path / "broker"
    folder.mkdir()
    running = brokers.Mosquitto(folder, user="camera", password="right")  # noqa: S106 - the test's own broker
    yield running
    running.kill()


def found(board: Board, mqtt: str) -> dict[str, str]:
    board.configure(CONFIG.replace("enabled = false", mqtt))
    return {one.id: one.mend for one in examine(board.world(), CHECKS).findings}


def judged(broker: BrokerAddress) -> dict[str, Problem]:
    """Greet a broker with TLS and return what the checks make of it."""
    greeting = greet(broker, "", PATIENCE_S)
    facts = BrokerFacts(broker, greeting, "/etc/inferd/inferd.toml", mosquitto=True, today="2026-11-22")
    return {check.id: fault for check in CHECKS if check.reads == (read_broker,) for fault in check.judge(facts)}


def secure(folder: Path, name: str, *more: str) -> Iterator[Secure]:
    running = Secure(folder, name, *more)
    yield running
    running.kill()


def over_tls(authority: Path, port: int, ca_file: str) -> BrokerAddress:
    return BrokerAddress("localhost", port, "", "", "inferd-doctor", Tls(ca_file and str(authority / ca_file)))


def test_a_broker_that_lets_us_in_is_well(board: Board, mosquitto: brokers.Mosquitto) -> None:
    assert found(board, f'host = "127.0.0.1"\nport = {mosquitto.port}') == {}


@pytest.mark.parametrize("address", ["00000000", "5E01A8C0", "00000000000000000000000000000000"])
def test_a_broker_that_others_reach_without_a_login_is_named(
    address: str, board: Board, mosquitto: brokers.Mosquitto
) -> None:
    row = f"0: {address}:{mosquitto.port:04X} 0:0 0A 0:0 0:0 0 0 0 4711\n"
    board.write("/proc/net/tcp6" if len(address) > 8 else "/proc/net/tcp", f"head\n{row}")
    port = f'host = "127.0.0.1"\nport = {mosquitto.port}'
    assert set(found(board, port)) == {"broker.open"}
    (finding,) = examine(board.world(), CHECKS).findings
    assert finding.severity == "note"
    found(board, f'{port}\nrequests = "all"')
    (finding,) = examine(board.world(), CHECKS).findings
    assert finding.severity == "warning"
    assert "reload its configuration" in finding.what


@pytest.mark.parametrize("address", ["0100007F", "00000000000000000000000001000000"])
def test_an_open_broker_on_the_loopback_interface_is_well(
    address: str, board: Board, mosquitto: brokers.Mosquitto
) -> None:
    row = f"0: {address}:{mosquitto.port:04X} 0:0 0A 0:0 0:0 0 0 0 4711\n"
    board.write("/proc/net/tcp6" if len(address) > 8 else "/proc/net/tcp", f"head\n{row}")
    assert found(board, f'host = "127.0.0.1"\nport = {mosquitto.port}') == {}


def test_the_right_login_is_well(board: Board, closed: brokers.Mosquitto) -> None:
    board.write("/etc/inferd/password", "right\n", 0o600)
    board.own("/etc/inferd/password", board.user)
    login = 'username = "camera"\npassword_file = "/etc/inferd/password"'
    assert found(board, f'host = "127.0.0.1"\nport = {closed.port}\n{login}') == {}


def test_a_wrong_password_is_named_with_its_file(board: Board, closed: brokers.Mosquitto) -> None:
    board.write("/etc/inferd/password", "wrong\n", 0o600)
    board.own("/etc/inferd/password", board.user)
    login = 'username = "camera"\npassword_file = "/etc/inferd/password"'
    mends = found(board, f'host = "127.0.0.1"\nport = {closed.port}\n{login}')
    assert mends == {"broker.login": "write the right password into /etc/inferd/password"}


def test_a_missing_user_name_is_named(board: Board, closed: brokers.Mosquitto) -> None:
    assert set(found(board, f'host = "127.0.0.1"\nport = {closed.port}')) == {"broker.login"}


def test_a_broker_that_was_stopped_is_named(board: Board, mosquitto: brokers.Mosquitto) -> None:
    board.program("mosquitto", "exit 0")
    mosquitto.kill()
    mends = found(board, f'host = "127.0.0.1"\nport = {mosquitto.port}')
    assert mends == {"broker.unreachable": "sudo systemctl start mosquitto"}


def test_a_broker_that_hangs_is_named(board: Board, mosquitto: brokers.Mosquitto) -> None:
    mosquitto.pause()
    assert set(found(board, f'host = "127.0.0.1"\nport = {mosquitto.port}')) == {"broker.unreachable"}
    mosquitto.resume()


def test_a_name_that_nobody_knows_is_named(board: Board) -> None:
    assert set(found(board, 'host = "no-such-broker.invalid"')) == {"broker.unreachable"}


def test_what_is_no_broker_is_named(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_say_http, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        assert set(found(board, f'host = "127.0.0.1"\nport = {port}')) == {"broker.unreachable"}


def test_greeting_does_not_end_the_connection_of_the_service(board: Board, mosquitto: brokers.Mosquitto) -> None:
    with socket.create_connection(("127.0.0.1", mosquitto.port), PATIENCE_S) as service:
        service.sendall(connect_packet("inferd-device", "", ""))
        assert service.recv(4) == b"\x20\x02\x00\x00"
        found(board, f'host = "127.0.0.1"\nport = {mosquitto.port}\n')
        service.sendall(b"\xc0\x00")
        assert service.recv(2) == b"\xd0\x00"


@needs_openssl
@pytest.mark.parametrize(
    ("certificate", "ca_file", "check", "mend"),
    [
        ("expired", "ca.crt", "broker.certificate-expired", "renew the certificate"),
        ("future", "ca.crt", "broker.clock-behind", "sudo timedatectl set-ntp true"),
        ("other", "ca.crt", "broker.wrong-name", "set mqtt.host"),
        ("good", "", "broker.authority", "mqtt.ca_file"),
    ],
)
def test_a_wrong_certificate_is_named(authority: Path, certificate: str, ca_file: str, check: str, mend: str) -> None:
    for running in secure(authority, certificate):
        faults = judged(over_tls(authority, running.port, ca_file))
        assert set(faults) == {check}
        assert mend in faults[check].mend


@needs_openssl
def test_a_good_certificate_is_well(authority: Path) -> None:
    for running in secure(authority, "good"):
        assert judged(over_tls(authority, running.port, "ca.crt")) == {}


MUTUAL = 'ca_file = "/etc/inferd/ca.crt"\ncert_file = "/etc/inferd/device.crt"\nkey_file = "/etc/inferd/device.key"'


@needs_openssl
@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (MUTUAL, set()),
        ('ca_file = "/etc/inferd/ca.crt"', {"broker.own-certificate"}),
        (MUTUAL.replace("device.crt", "stranger.crt"), {"broker.own-certificate"}),
        ('cert_file = "/etc/inferd/device.crt"\nkey_file = "/etc/inferd/device.key"', {"broker.authority"}),
    ],
    ids=["both known", "no certificate of ours", "one of another key", "no authority"],
)
def test_tls_is_tried_as_it_is_configured(authority: Path, board: Board, keys: str, named: set[str]) -> None:
    for copied, name in (
        ("ca.crt", "ca.crt"),
        ("good.crt", "device.crt"),
        ("ca.crt", "stranger.crt"),
        ("server.key", "device.key"),
    ):
        board.write(f"/etc/inferd/{name}", (authority / copied).read_text(), 0o600)
        board.own(f"/etc/inferd/{name}", board.user)
    asks = (f"cafile {authority}/ca.crt", "require_certificate true")
    for running in secure(authority, "good", *asks):
        assert set(found(board, f'host = "localhost"\nport = {running.port}\ntls = true\n{keys}')) == named


@needs_openssl
def test_tls_to_a_plain_port_is_named(authority: Path, mosquitto: brokers.Mosquitto) -> None:
    assert len(judged(over_tls(authority, mosquitto.port, "ca.crt"))) == 1


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=50)


def _say_http(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
