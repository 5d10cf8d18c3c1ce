from __future__ import annotations

from inferd.system.threads import Condition, Event, Latest, join_all, start


def test_a_newer_item_replaces_one_that_nobody_took() -> None:
    place: Latest[str] = Latest()
    assert place.put("old") == []
    assert place.put("new") == ["old"]
    assert place.take() == "new"


def test_where_there_is_room_for_a_few_the_oldest_makes_way() -> None:
    place: Latest[str] = Latest()
    place.room = 2
    assert [place.put(item) for item in ("first", "second", "third")] == [[], [], ["first"]]
    assert [place.take(), place.peek(), place.take(), place.take()] == ["second", "third", "third", None]


def test_where_there_is_room_for_fewer_all_that_are_too_many_make_way() -> None:
    place: Latest[str] = Latest()
    place.room = 3
    for item in ("first", "second", "third"):
        place.put(item)
    place.room = 1
    assert place.put("fourth") == ["first", "second", "third"]


def test_an_item_is_taken_once() -> None:
    place: Latest[str] = Latest()
    place.put("item")
    assert [place.take(), place.take()] == ["item", None]


def test_a_reader_of_several_places_is_woken_by_any() -> None:
    changed = Condition()
    places: list[Latest[str]] = [Latest(changed), Latest(changed)]
    thread = start("writer", lambda: (places[1].put("item"), None)[1])
    with changed:
        while places[1].peek() is None:
            assert changed.wait(5)
    thread.join()


def test_waiting_for_an_empty_place_ends_when_the_item_is_taken() -> None:
    place: Latest[str] = Latest()
    place.put("item")
    thread = start("reader", lambda: (place.take(), None)[1])
    assert place.wait_empty(Event(), 5)
    thread.join()


def test_waiting_for_an_empty_place_ends_when_told_to_stop() -> None:
    place: Latest[str] = Latest()
    place.put("item")
    stop = Event()
    stop.set()
    assert not place.wait_empty(stop, 60)


def test_a_thread_that_does_not_end_is_named() -> None:
    stop = Event()
    threads = [start("source cam", lambda: (stop.wait(), None)[1]), start("done", lambda: None)]
    assert join_all(threads, 0.1) == ["source cam"]
    stop.set()
