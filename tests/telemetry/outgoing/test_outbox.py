from __future__ import annotations

from inferd.records import Message
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, TimedMessage
from inferd.telemetry.outgoing.outbox import MAX_LASTING, MAX_RETAINED, Outbox

ONLINE = Message("status", b"online", 1, retain=True)


def state(topic: str, payload: bytes = b"") -> Message:
    return Message(topic, payload, qos=1, retain=True)


def event(number: int) -> Message:
    return Message("event", str(number).encode(), qos=1)


def result(number: int) -> Message:
    return Message("cam/result", str(number).encode())


def drained(outbox: Outbox) -> list[Message]:
    messages = []
    while (outgoing := outbox.pop()) is not None:
        messages.append(outgoing.message)
    return messages


def test_states_leave_before_events_and_events_before_results() -> None:
    outbox = Outbox(10)
    for message in (result(1), event(2), state("info"), event(3)):
        outbox.put(message)
    assert drained(outbox) == [state("info"), event(2), event(3), result(1)]


def test_results_may_pass_while_nothing_else_may_leave() -> None:
    outbox = Outbox(10)
    outbox.put(event(1))
    outbox.put(result(2))
    assert outbox.pop_live() == TimedMessage(result(2))
    assert outbox.pop_live() is None


def test_of_a_state_only_the_newest_leaves() -> None:
    outbox = Outbox(10)
    outbox.put(state("cam/state", b"old"))
    outbox.put(state("cam/state", b"new"))
    assert drained(outbox) == [state("cam/state", b"new")]


def test_states_that_have_left_leave_again_and_the_last_word_after_them() -> None:
    outbox = Outbox(10)
    outbox.put(state("info"))
    outbox.put(state("cam/state", b"cat"))
    drained(outbox)
    outbox.resend_retained(ONLINE)
    assert drained(outbox) == [state("info"), state("cam/state", b"cat"), ONLINE]


def test_a_state_that_changes_after_a_connect_does_not_leave_twice() -> None:
    outbox = Outbox(10)
    outbox.put(state("info", b"old"))
    outbox.resend_retained(ONLINE)
    outbox.put(state("info", b"new"))
    assert drained(outbox) == [state("info", b"new"), ONLINE]


def test_the_oldest_results_are_dropped_and_counted() -> None:
    outbox = Outbox(3)
    for number in range(5):
        outbox.put(result(number))
    assert drained(outbox) == [result(2), result(3), result(4)]
    assert outbox.dropped == 2


def test_events_have_a_bound_of_their_own() -> None:
    outbox = Outbox(3)
    for number in range(MAX_LASTING + 2):
        outbox.put(event(number))
    assert drained(outbox)[0] == event(2)
    assert outbox.dropped == 2


def test_topics_of_states_are_bounded() -> None:
    outbox = Outbox(3)
    for number in range(MAX_RETAINED + 2):
        outbox.put(state(f"cam-{number}/state"))
    assert len(outbox) == MAX_RETAINED
    assert outbox.dropped == 2


def test_what_was_lost_on_its_way_leaves_first_and_in_order() -> None:
    outbox = Outbox(10)
    outbox.put(event(3))
    outbox.give_back([TimedMessage(event(1)), TimedMessage(state("info")), TimedMessage(event(2))])
    assert drained(outbox) == [event(1), event(2), event(3)]


def test_what_comes_back_is_the_oldest_where_there_is_no_room() -> None:
    outbox = Outbox(2)
    outbox.put(result(3))
    outbox.give_back([TimedMessage(result(1)), TimedMessage(result(2))])
    assert drained(outbox) == [result(2), result(3)]
    assert outbox.dropped == 1


def test_what_has_missed_its_moment_goes_to_replay_behind_all_that_is_live() -> None:
    outbox = Outbox(10)
    outbox.put(result(1), now_ns=1)
    outbox.put(result(2), now_ns=9)
    outbox.age(before_ns=5)
    assert drained(outbox) == [result(2)]
    assert outbox.pop_missed(BatchBounds()) == Batch((result(1),))


def test_what_the_spool_has_is_left_to_it_when_its_moment_has_passed() -> None:
    outbox = Outbox(10)
    outbox.put(Message("event", b"1", 1, lane="event"), number=7, now_ns=1)
    outbox.put(Message("event", b"2", 1, lane="event"), number=8, now_ns=9)
    outbox.age(before_ns=5)
    assert outbox.oldest_kept() == 8
    assert outbox.pop_missed(BatchBounds()) is None


def test_what_the_spool_has_is_no_loss_where_there_is_no_room() -> None:
    outbox = Outbox(10)
    for number in range(MAX_LASTING + 5):
        outbox.put(event(number), number=number + 1)
    assert outbox.dropped == 0
    assert outbox.oldest_kept() == 6


def test_what_was_lost_on_its_way_to_replay_goes_there_again() -> None:
    outbox = Outbox(10)
    outbox.give_back([Batch((result(1), result(2))), Batch((result(3),)), Batch((event(4),), numbers=(7,))])
    assert outbox.pop() is None
    assert outbox.pop_missed(BatchBounds()) == Batch((result(1), result(2), result(3)))


def test_a_response_is_never_late() -> None:
    outbox = Outbox(10)
    outbox.put(Message("response/ping", b"{}", 1), now_ns=1)
    outbox.age(before_ns=5)
    assert drained(outbox) == [Message("response/ping", b"{}", 1)]


def test_missed_messages_are_bounded_and_the_oldest_are_dropped() -> None:
    outbox = Outbox(10)
    for turn in range(3):
        for number in range(10):
            outbox.put(result(10 * turn + number), now_ns=turn)
        outbox.age(before_ns=turn + 1)
    assert len(outbox) == 10
    assert outbox.dropped == 20
