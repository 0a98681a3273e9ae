"""Retention: what is past its age goes, the ids stay a while, and the database does not grow."""

import contextlib
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from destination.model.delivery import Discard, Status
from destination.model.verdict import Verdict
from destination.partners.webhook.destination import endpoint
from destination.settings.parsers import DAY
from destination.store import schema, subscribers
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queue import rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.replay import replay, retry
from destination.store.replay.replay import Kind
from destination.store.upkeep import retention
from destination.store.upkeep.retention import Ages, sweep
from destination.support import json_codec
from tests.conftest import arrival
from tests.leasing import acknowledge, lease, outcome
from tests.running import until
from tests.store.partners.test_webhook import VALUES

AGES = Ages(delivered=10 * DAY, discarded=20 * DAY, failed=30 * DAY, ids=7 * DAY, awards=400 * DAY)
DROPPED = Discard(reason="anonymous", detail="…")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)


def receive(database, *message_ids, **changes):
    return [
        result.outcome
        for result in enqueue(
            database, [arrival(each, f"u-{each}", user_id="u", **changes) for each in message_ids]
        )
    ]


def receive_for(database, destination, message_id):
    made = arrival(message_id, f"u-{message_id}")
    enqueue(
        database,
        [replace(made, deliveries=(replace(made.deliveries[0], destination=destination),))],
    )


def settle_all(database, verdict=Verdict.DELIVERED):
    acknowledge(database, *(outcome(leased, verdict) for leased in lease(database, 1000)))


def count(database, table):
    with database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def left(database):
    """How much there is: events, of them emptied, deliveries, attempts, discards."""
    with database.reading() as connection:
        emptied = sa.select(sa.func.count(schema.event.c.emptied_at))
        return (
            count(database, schema.event),
            connection.execute(emptied).scalar_one(),
            count(database, schema.delivery),
            count(database, schema.attempt),
            count(database, schema.discard),
        )


def test_what_was_delivered_goes_with_its_attempts_after_its_age_and_not_before(timed, clock):
    receive(timed, *"abcdefgh")
    settle_all(timed)

    clock.now += 10 * DAY - 1
    assert sum(sweep(timed, AGES)) == 0
    clock.now += 2
    assert list(sweep(timed, AGES)) == [3, 3, 2]
    assert left(timed) == (8, 8, 0, 0, 0)


def test_nothing_of_the_call_is_left_but_its_id(timed, clock):
    receive(timed, "a", call='{"userId":"ada"}', name="Order Completed", type="track")
    settle_all(timed)
    clock.now += 11 * DAY
    list(sweep(timed, AGES))

    event = lists.event(timed, 1)
    assert (event["message_id"], event["call"]) == ("a", "")
    assert (event["user_id"], event["name"], event["timestamp"]) == (None, None, None)
    assert [row["outcome"] for row in lists.events(timed)] == ["removed"]


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.UNKNOWN])
def test_what_failed_or_is_uncertain_has_an_age_of_its_own(timed, clock, verdict):
    receive(timed, "a")
    settle_all(timed, verdict)

    clock.now += 29 * DAY
    assert sum(sweep(timed, AGES)) == 0
    clock.now += 2 * DAY
    assert sum(sweep(timed, AGES)) == 1
    assert left(timed) == (1, 1, 0, 0, 0)


def test_what_waits_is_never_removed(timed, clock):
    receive(timed, "a", "b")
    lease(timed, 1)  # and one is under way

    clock.now += 1000 * DAY
    assert sum(sweep(timed, AGES)) == 0
    assert left(timed) == (2, 0, 2, 1, 0)


def test_what_waits_for_a_subscriber_who_has_gone_fails_after_seven_days(timed, clock):
    gone, stays = (subscribers.add(timed, {**VALUES, "name": name}, "x")["id"] for name in "AB")
    rate_limit.register(timed, [endpoint(gone), endpoint(stays)])
    for number in range(5):
        receive_for(timed, endpoint(gone), f"gone{number}")
        receive_for(timed, endpoint(stays), f"stays{number}")
    lease(timed, 1, destination=endpoint(gone))  # by a worker that dies
    subscribers.change(timed, gone, {"active": False}, "x")
    clock.now += 6.9 * DAY
    assert sum(sweep(timed, AGES)) == 0

    clock.now += 0.2 * DAY
    assert sum(sweep(timed, AGES)) == 5
    found = {(row["destination"], row["status"], row["reason"]) for row in lists.deliveries(timed)}
    assert found == {
        (endpoint(gone), "failed", "account_inactive"),
        (endpoint(stays), "pending", None),
    }
    assert sum(sweep(timed, AGES)) == 0
    assert lease(timed, destination=endpoint(gone)) == []
    assert len(lease(timed, destination=endpoint(stays))) == 5


def test_an_age_counts_from_when_a_delivery_was_settled(timed, clock):
    receive(timed, "a", "b", "c", "d")
    settle_all(timed, Verdict.REJECTED)
    clock.now += 25 * DAY
    retry.send_again(timed, [1], Status.FAILED, destinations={})
    settle_all(timed)

    clock.now += 6 * DAY
    assert sum(sweep(timed, AGES)) == 3
    clock.now += 5 * DAY
    assert sum(sweep(timed, AGES)) == 1


def test_what_was_made_anew_keeps_nothing_behind_it(timed, clock, setup):
    order = {"type": "track", "event": "Order Completed", "userId": "u"}
    for number in "abc":
        receive(timed, number, call=json_codec.dumps({**order, "messageId": number}))
    receive(timed, *"defgh")
    settle_all(timed, Verdict.REJECTED)
    clock.now += 29 * DAY
    results = replay.replay(timed, Kind.FAILED, [1, 2, 3], setup().routes())
    assert results == [("accepted", None)] * 3

    clock.now += 2 * DAY
    assert list(sweep(timed, AGES)) == [3, 2]


def test_one_that_was_sent_again_meanwhile_is_not_removed(timed, clock):
    receive(timed, "a")
    settle_all(timed, Verdict.REJECTED)
    clock.now += 31 * DAY
    retry.send_again(timed, [1], Status.FAILED, destinations={})

    assert retention._remove_deliveries(timed, [1], AGES) == 0
    assert left(timed)[:3] == (1, 0, 1)


def test_discards_go_after_their_age(timed, clock):
    receive(timed, *"abcde", deliveries=(), discards=(DROPPED,))

    clock.now += 21 * DAY
    assert list(sweep(timed, AGES)) == [3, 2]
    assert left(timed) == (5, 5, 0, 0, 0)


def test_a_payload_stays_until_the_last_that_was_made_of_it_goes(timed, clock):
    made = arrival("a")
    enqueue(timed, [replace(made, discards=(replace(DROPPED, mapping="Other"),), call='{"a":1}')])
    settle_all(timed)

    clock.now += 11 * DAY
    list(sweep(timed, AGES))
    assert left(timed) == (1, 0, 0, 0, 1)
    assert lists.discard(timed, 1)["call"] == '{"a":1}'
    clock.now += 10 * DAY
    list(sweep(timed, AGES))
    assert left(timed) == (1, 1, 0, 0, 0)


def test_two_who_remove_the_last_of_an_event_at_once_leave_no_payload(timed, clock, monkeypatch):
    both = arrival("a", call='{"a":1}')
    other = replace(both.deliveries[0], mapping="Other", customer="u2")
    enqueue(timed, [replace(both, deliveries=(*both.deliveries, other))])
    settle_all(timed)
    clock.now += 11 * DAY
    removed = threading.Barrier(2)
    empty = retention.empty

    def empty_together(*args):
        # On SQLite the other one has not even begun.
        with contextlib.suppress(threading.BrokenBarrierError):
            removed.wait(0.5)
        empty(*args)

    monkeypatch.setattr(retention, "empty", empty_together)
    sweepers = [
        threading.Thread(target=retention._remove_deliveries, args=(timed, [number], AGES))
        for number in (1, 2)
    ]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert left(timed) == (1, 1, 0, 0, 0)


def test_the_same_call_again_is_known_for_seven_days_after_its_payload_is_gone(timed, clock):
    receive(timed, *"abcd")
    settle_all(timed)
    clock.now += 11 * DAY
    list(sweep(timed, AGES))

    clock.now += 7 * DAY - 1
    list(sweep(timed, AGES))
    assert receive(timed, "a") == ["duplicate"]
    clock.now += 2
    assert list(sweep(timed, AGES)) == [3, 1]
    assert left(timed) == (0, 0, 0, 0, 0)
    assert receive(timed, "a") == ["accepted"]


def test_a_replay_does_not_find_what_is_removed(timed, clock):
    receive(timed, "a")
    settle_all(timed, Verdict.REJECTED)
    clock.now += 31 * DAY
    [found] = replay.find_deliveries(timed, Filter(status=Status.FAILED))
    list(sweep(timed, AGES))

    assert retry.send_again(timed, [found], Status.FAILED, destinations={}) == set()
    assert list(replay.find_deliveries(timed, Filter(status=Status.FAILED))) == []


def test_a_sweep_of_nothing_takes_no_lock(timed, monkeypatch):
    receive(timed, *"abcdefgh")
    settle_all(timed)
    monkeypatch.setattr(type(timed), "writing", None)

    assert list(sweep(timed, AGES)) == []


def test_mapping_files_go_when_no_delivery_names_them_and_they_are_old(timed, clock, monkeypatch):
    monkeypatch.setattr(retention, "SCAN", 2)
    made = arrival("a").deliveries[0]
    for digest in ("first", "named", "last"):
        lists.remember_mappings(timed, digest, {"a.yaml": digest})
        clock.now += 1
    named = replace(made, mapping_set="named")
    receive(timed, *"abcde", deliveries=(replace(made, mapping_set="last"),))
    receive(timed, "waits", deliveries=(named,))

    clock.now += 30 * DAY - 4
    list(sweep(timed, AGES))
    assert kept_sets(timed) == ["first", "last", "named"]
    clock.now += 2
    list(sweep(timed, AGES))
    assert kept_sets(timed) == ["last", "named"]
    for _ in range(6):  # one lane
        settle_all(timed)
    clock.now += 31 * DAY
    list(sweep(timed, AGES))
    assert kept_sets(timed) == ["last"]


def test_mapping_files_that_are_taken_up_again_stay(timed, clock):
    for digest in ("first", "second"):
        lists.remember_mappings(timed, digest, {})
        clock.now += 31 * DAY
    lists.remember_mappings(timed, "first", {})

    list(sweep(timed, AGES))
    assert kept_sets(timed) == ["first"]


def kept_sets(database):
    with database.reading() as connection:
        return sorted(connection.execute(sa.select(schema.mapping_set.c.digest)).scalars())


def test_sweeping_goes_on_beside_the_work_and_ends(timed, clock, monkeypatch):
    monkeypatch.setattr(retention, "SWEEP_EVERY", 0.01)
    monkeypatch.setattr(retention, "PAUSE", 0.0)
    receive(timed, "a")
    settle_all(timed)
    end = retention.keep_sweeping(timed, AGES)
    clock.now += 11 * DAY

    until(lambda: left(timed)[1] == 1)
    end()


def test_weeks_of_traffic_and_the_database_does_not_grow(timed, clock, monkeypatch):
    """In miniature: a dozen calls of 4 KB a day, kept for 4 to 8 days and 7 more as ids."""
    monkeypatch.setattr(retention, "BATCH", 100)
    ages = replace(AGES, delivered=4 * DAY, discarded=5 * DAY, failed=8 * DAY)
    sizes = []
    for day in range(40):
        made = [arrival(f"{day}-{number}", f"u{number}", call="x" * 4000) for number in range(12)]
        dropped = [replace(each, deliveries=(), discards=(DROPPED,)) for each in made[9:]]
        enqueue(timed, made[:9] + dropped)
        failed, *delivered = lease(timed, 1000)
        acknowledge(timed, *map(outcome, delivered), outcome(failed, Verdict.REJECTED))
        clock.now += DAY
        list(sweep(timed, ages))
        sizes.append(size(timed))

    assert max(sizes[20:]) <= max(sizes[:20]) * 1.02
    assert left(timed)[0] <= 12 * (8 + 7 + 1)


def size(database):
    """Pages of the file; of PostgreSQL the rows, whose room its autovacuum lets others take."""
    if database.engine.dialect.name == "postgresql":
        return sum(left(database))
    with database.reading() as connection:
        return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
