"""Taking calls in, on each database."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from destination.errors import StoreUnavailable
from destination.model.delivery import Discard
from destination.store import bulk_insert, schema
from destination.store import database as databases
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from tests.conftest import arrival


def outcomes(database, *arrivals):
    return [(o.outcome, o.reason) for o in enqueue(database, arrivals)]


def identify(message_id, customer, code):
    """A call that brings `code` as the customer's own."""
    made = arrival(message_id, customer)
    return replace(made, deliveries=(replace(made.deliveries[0], code=code),))


def test_a_call_is_kept_with_its_delivery(database):
    assert outcomes(database, arrival("m1", "u1", type="track", name="A")) == [("accepted", None)]

    [event] = lists.events(database)
    assert (event["message_id"], event["type"], event["name"], event["outcome"]) == (
        "m1",
        "track",
        "A",
        "accepted",
    )
    [delivery] = lists.deliveries(database)
    assert (delivery["status"], delivery["lane"], delivery["attempts"]) == ("pending", "u1", 0)


def test_the_same_call_twice_is_one_call(database):
    assert outcomes(database, arrival("m1")) == [("accepted", None)]
    assert outcomes(database, arrival("m1")) == [("duplicate", None)]
    assert outcomes(database, arrival("m2"), arrival("m2"), arrival("m1")) == [
        ("accepted", None),
        ("duplicate", None),
        ("duplicate", None),
    ]
    assert len(list(lists.deliveries(database))) == 2


def test_the_same_message_id_of_another_source_is_another_call(database):
    assert outcomes(database, arrival("m1"), arrival("m1", source="rehook")) == [
        ("accepted", None),
        ("accepted", None),
    ]


def test_a_discard_is_kept_and_its_repetition_is_told_why(database):
    dropped = arrival(
        "m1", deliveries=(), discards=(Discard(reason="id_required", detail="No userId."),)
    )

    assert outcomes(database, dropped) == [("discarded", "id_required")]
    assert outcomes(database, dropped) == [("duplicate", "id_required")]
    [discard] = lists.discards(database)
    assert (discard["message_id"], discard["reason"], discard["detail"]) == (
        "m1",
        "id_required",
        "No userId.",
    )
    assert lists.discard(database, discard["id"])["call"] == "{}"


def test_a_call_with_a_delivery_and_a_discard_is_accepted(database):
    mixed = arrival(
        "m1", discards=(Discard(reason="payload_validation_failed", detail="", mapping="B"),)
    )

    assert outcomes(database, mixed, mixed) == [("accepted", None), ("duplicate", None)]
    assert [discard["mapping"] for discard in lists.discards(database)] == ["B"]


def test_a_batch_is_kept_in_its_order(database):
    enqueue(database, [arrival(f"m{n}", f"u{n % 3}") for n in range(300)])

    listed = [row["message_id"] for row in lists.deliveries(database)]
    assert listed == [f"m{n}" for n in reversed(range(300))]


@pytest.mark.parametrize("known", [0, 1, bulk_insert.PAGE + 1])
def test_a_batch_was_received_at_one_time(database, known):
    """What its events set is known by it, and compared when one of them is sent again."""
    batch = [arrival(f"m{n}", f"u{n}") for n in range(bulk_insert.PAGE * 3)]
    enqueue(database, batch[:known])
    enqueue(database, batch)

    with database.reading() as connection:
        received = sa.select(schema.event.c.received_at).distinct()
        made = sa.select(schema.delivery.c.created_at).distinct()
        times = set(connection.execute(received).scalars())
        assert len(times) == (2 if known else 1)
        assert set(connection.execute(made).scalars()) == times


def test_a_referral_code_belongs_to_whom_brought_it_first(database):
    assert outcomes(database, identify("m1", "ada", "CODE")) == [("accepted", None)]
    assert outcomes(database, identify("m2", "bob", "CODE"), identify("m3", "ada", "CODE")) == [
        ("discarded", "referral_code_taken"),
        ("accepted", None),
    ]
    assert outcomes(database, identify("m2", "bob", "CODE")) == [
        ("duplicate", "referral_code_taken")
    ]


def test_within_a_batch_too_the_first_has_the_code(database):
    batch = [
        identify("m1", "ada", "A"),
        identify("m2", "bob", "A"),
        identify("m3", "bob", "B"),
        identify("m4", "ada", "b"),
    ]

    assert outcomes(database, *batch) == [
        ("accepted", None),
        ("discarded", "referral_code_taken"),
        ("accepted", None),
        ("accepted", None),
    ]


@pytest.mark.parametrize("code", ["\ud800", "\0", "x" * 10_000, " ", "é"])
def test_any_text_can_be_a_code(database, code):
    assert outcomes(database, identify("m1", "ada", code), identify("m2", "bob", code)) == [
        ("accepted", None),
        ("discarded", "referral_code_taken"),
    ]


def test_nothing_is_kept_when_the_commit_fails(database):
    broken = arrival("m2", call=None)  # the database refuses a call without text

    with pytest.raises(Exception, match=r"NOT NULL|null value"):
        enqueue(database, [arrival("m1"), broken])
    assert list(lists.events(database)) == []


def test_calls_that_come_at_once_are_each_kept_once(database):
    barrier = threading.Barrier(8)
    results = []

    def receive(number):
        barrier.wait()
        for turn in range(10):
            results.extend(outcomes(database, arrival(f"m{turn}"), arrival(f"{number}-{turn}")))

    threads = [threading.Thread(target=receive, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([("accepted", None)] * 90 + [("duplicate", None)] * 70)
    assert len(list(lists.deliveries(database))) == 90


def test_a_database_that_is_locked_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "LOCK_TIMEOUT", 0.05)
    one = databases.connect(f"sqlite:///{tmp_path / 'x.db'}")
    one.prepare()
    with one.writing(), pytest.raises(StoreUnavailable, match="locked"):
        enqueue(databases.connect(f"sqlite:///{tmp_path / 'x.db'}"), [arrival("m1")])


def test_a_writer_that_waits_keeps_looking_for_its_turn(tmp_path, monkeypatch):
    """SQLite's own waiting looks ever more seldom: who writes all the time would keep it out."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    one = databases.connect(url)
    one.prepare()
    looks = []

    def look(seconds):
        looks.append(seconds)
        if len(looks) == 50:
            writer.exec_driver_sql("COMMIT")

    clock = SimpleNamespace(sleep=look, monotonic=time.monotonic)  # of no other thread
    monkeypatch.setattr(databases, "time", clock)
    with one.writing() as writer:
        assert outcomes(databases.connect(url), arrival("m1")) == [("accepted", None)]
        writer.exec_driver_sql("BEGIN")  # for the end of the block
    assert set(looks) == {0.001}
