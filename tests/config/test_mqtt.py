from __future__ import annotations

from pathlib import Path

import pytest

from inferd.config.load import load
from inferd.config.mqtt import Mqtt, at_start, reconnected, strangers_may
from inferd.errors import ConfigError


def loaded(folder: Path, mqtt: str, **environment: str) -> str:
    file = folder / "inferd.toml"
    file.write_text(f"[mqtt]\n{mqtt}\n")
    return load(file, {"HOME": str(folder), **environment}).config.mqtt.password_file


def test_a_credential_of_systemds_is_found_in_its_folder(tmp_path: Path) -> None:
    told = loaded(
        tmp_path,
        'password_file = "$CREDENTIALS_DIRECTORY/mqtt"',
        CREDENTIALS_DIRECTORY="/run/credentials/inferd.service",
    )
    assert told == "/run/credentials/inferd.service/mqtt"


def test_a_credential_that_systemd_did_not_give_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.password_file names a credential.*LoadCredential="):
        loaded(tmp_path, 'password_file = "$CREDENTIALS_DIRECTORY/mqtt"')


def test_a_plain_path_stays_as_it_is(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'password_file = "/etc/inferd/mqtt"', CREDENTIALS_DIRECTORY="/run/x") == "/etc/inferd/mqtt"


@pytest.mark.parametrize(
    ("mqtt", "why"),
    [
        ('ca_file = "/ca.pem"', "without `tls = true`"),
        ('tls = true\ncert_file = "/c.pem"', "belong together"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, mqtt: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        loaded(tmp_path, mqtt)


def test_what_a_new_connection_takes_and_what_waits_for_the_next_start() -> None:
    old = Mqtt()
    new = Mqtt(host="there", port=8883, tls=True, prefix="site", spool_mb=1, snapshots=True)
    assert reconnected(old, new) == Mqtt(host="there", port=8883, tls=True)
    assert at_start(old, new) == ["mqtt.prefix", "mqtt.spool_mb"]
    assert at_start(old, Mqtt(host="there", snapshots=True)) == []


@pytest.mark.parametrize(
    ("mqtt", "allowed"),
    [
        (Mqtt(), "read its results, figures and events, publish in its name and ask for its status"),
        (Mqtt(requests="none"), "read its results, figures and events and publish in its name"),
        (Mqtt(requests=True, snapshots=True), "fetch pictures, remove models and reload its configuration"),
        (Mqtt(requests="operate"), "switch its models and pipelines"),
        (Mqtt(seal_key_file="/k"), "see when it publishes"),
        (Mqtt(username="pi"), ""),
        (Mqtt(tls=True, cert_file="/c", key_file="/k"), ""),
        (Mqtt(enabled=False), ""),
    ],
)
def test_what_a_stranger_may_do_at_an_open_broker(mqtt: Mqtt, allowed: str) -> None:
    assert allowed in strangers_may(mqtt)
    assert bool(allowed) == bool(strangers_may(mqtt))
