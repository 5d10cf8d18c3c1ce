"""The subscriber against a real broker, and against what is none."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fixtures.network.broker import Listener, Mosquitto, dead_port, deaf_broker, eventually, retained
from inferd.config.settings import Mqtt
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.subscriber import ReceivedMessage, Subscriber

SOON = Backoff(first_s=0.05, longest_s=0.05)


def subscriber(port: int, *topics: str, **options: str) -> Subscriber:
    broker = Mqtt(host="127.0.0.1", port=port, username=options.get("username", ""))
    return Subscriber(broker, topics or ("#",), options.get("password", ""), SOON)


def take_until(hearing: Subscriber, wanted: ReceivedMessage) -> list[ReceivedMessage]:
    """Return all that is heard up to `wanted`."""
    heard: list[ReceivedMessage] = []

    def came() -> bool:
        heard.extend(hearing.pop_all())
        return wanted in heard

    eventually(came, f"to hear {wanted}")
    return heard


def test_it_hears_what_it_subscribed_to(mosquitto: Mosquitto) -> None:
    with subscriber(mosquitto.port, "a/+") as hearing, subscriber(mosquitto.port, "none") as speaking:
        eventually(lambda: hearing.ready and speaking.ready, "both to subscribe")
        speaking.send("b/x", b"not wanted")
        speaking.send("a/x", b"wanted")
        assert take_until(hearing, ReceivedMessage("a/x", b"wanted", retained=False)) == [
            ReceivedMessage("a/x", b"wanted", retained=False)
        ]


def test_what_the_broker_had_before_is_marked_retained(mosquitto: Mosquitto) -> None:
    with subscriber(mosquitto.port) as speaking:
        eventually(lambda: speaking.ready, "to subscribe")
        speaking.send("a", b"old", retain=True)
    with subscriber(mosquitto.port) as hearing:
        take_until(hearing, ReceivedMessage("a", b"old", retained=True))


def test_what_was_sent_last_arrives_although_it_is_closed(mosquitto: Mosquitto) -> None:
    with subscriber(mosquitto.port) as speaking:
        eventually(lambda: speaking.ready, "to subscribe")
        speaking.send("a", b"last words", retain=True)
    assert retained(mosquitto.port, "a") == b"last words"


def test_it_subscribes_again_when_the_broker_is_back(mosquitto: Mosquitto) -> None:
    with subscriber(mosquitto.port) as hearing:
        eventually(lambda: hearing.ready, "to subscribe")
        mosquitto.kill()
        eventually(lambda: not hearing.ready, "to notice the loss")
        mosquitto.start()
        eventually(lambda: hearing.ready, "to subscribe again")
        with closing(Listener(mosquitto.port)) as other:
            other.hear_marker()
        take_until(hearing, ReceivedMessage("marker", b"", retained=False))


def test_a_broker_that_is_not_there_is_told() -> None:
    with subscriber(dead_port()) as hearing:
        eventually(lambda: hearing.why.startswith("nothing listens there"), "the reason")


def test_a_broker_that_refuses_us_is_told(tmp_path: Path, mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    guarded = Mosquitto(tmp_path, user="pi", password="secret")  # noqa: S106 - of a broker that lives for this test
    try:
        with subscriber(guarded.port) as hearing:
            eventually(lambda: "it refuses clients without a user name (Not authorized)" in hearing.why, "the reason")
        with subscriber(guarded.port, username="pi", password="secret") as hearing:  # noqa: S106 - as above
            eventually(lambda: hearing.ready, "to subscribe")
    finally:
        guarded.kill()


def test_something_that_never_answers_is_not_ready_and_does_not_keep_us() -> None:
    with deaf_broker() as port, subscriber(port) as hearing:
        assert not hearing.ready
        assert hearing.why == "it has not answered as a broker does"
