"""Claiming and settling, on each database."""

import math
import threading
from dataclasses import replace

import pytest

from destination.model.delivery import Delivery, Status
from destination.model.lease import Settlement
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import accept, open_lanes
from destination.store.queue.rate_limit import Terms, Wanted
from destination.store.replay import retry
from tests.conftest import arrival

LEASE, PROBE = 60.0, 30.0
TERMS = Terms(lease=LEASE, hold_probe=PROBE, breaker_failures=5, breaker_probe=2.0)


def turn(database, limit=10, settlements=(), destination="rehook", terms=TERMS, **wanted):
    with database.reading() as connection:
        known = rate_limit.paces(connection, ["rehook"])
    if not known:
        rate_limit.enter(database, ["rehook", "reward"])
    wants = Wanted(destination=destination, room=limit, **wanted)
    return poll.settle_and_claim(database, settlements, [wants] if limit else [], terms)


def claim(database, limit=10, settlements=(), destination="rehook", **wanted):
    return turn(database, limit, settlements, destination, **wanted).claims


def settle(database, *settlements):
    assert claim(database, 0, settlements) == []


def outcome(claimed, verdict=Verdict.DELIVERED, **changes):
    """What became of a claim: by default it was delivered."""
    status = {
        Verdict.DELIVERED: 200,
        Verdict.RETRY: 503,
        Verdict.REJECTED: 400,
        Verdict.HOLD: 401,
    }.get(verdict)
    exchange = Exchange(
        method="POST",
        url="http://engine/x",
        status=status,
        trouble=None if status else Trouble.TIMEOUT,
        answer="ok",
    )
    made = Settlement(
        claim=claimed,
        exchange=exchange,
        verdict=verdict,
        status=verdict.status,
        reason=None if verdict is Verdict.DELIVERED else f"http_{status}",
        step=1,
    )
    return replace(made, **changes)


def receive(database, *pairs):
    accept(database, [arrival(message_id, customer) for message_id, customer in pairs])


def names(claims):
    return [claimed.payload.split('"')[3] for claimed in claims]


def statuses(database):
    return {row["message_id"]: row["status"] for row in lists.deliveries(database)}


def test_a_lane_leaves_in_order_one_at_a_time(database):
    receive(database, ("a1", "a"), ("a2", "a"), ("b1", "b"))

    first = claim(database)
    assert sorted(names(first)) == ["a1", "b1"]
    assert claim(database) == []
    assert names(claim(database, settlements=[outcome(c) for c in first])) == ["a2"]
    assert statuses(database) == {"a1": "delivered", "a2": "sending", "b1": "delivered"}


def test_no_more_is_claimed_than_is_wanted(database):
    receive(database, *((f"m{n}", f"u{n}") for n in range(10)))

    assert len(claim(database, limit=3)) == 3
    assert len(claim(database, limit=30)) == 7


def test_the_attempt_is_written_before_the_request_leaves(database):
    receive(database, ("m1", "u"))
    [claimed] = claim(database)

    [attempt] = lists.delivery(database, claimed.delivery_id)["attempt_list"]
    assert (attempt["number"], attempt["ended_at"], attempt["verdict"]) == (1, None, None)
    settle(database, outcome(claimed))
    [attempt] = lists.delivery(database, claimed.delivery_id)["attempt_list"]
    assert (
        attempt["method"],
        attempt["url"],
        attempt["status"],
        attempt["answer"],
        attempt["verdict"],
    ) == (
        "POST",
        "http://engine/x",
        200,
        "ok",
        "delivered",
    )
    assert attempt["ended_at"] >= attempt["started_at"]


def test_a_retry_keeps_its_place_in_the_lane_and_waits_its_time(timed, clock):
    receive(timed, ("a1", "a"), ("a2", "a"), ("b1", "b"))
    claims = {names([c])[0]: c for c in claim(timed)}

    settle(timed, outcome(claims["a1"], Verdict.RETRY, wait=30.0, step=0), outcome(claims["b1"]))
    assert claim(timed) == []
    clock.now += 29.9
    assert claim(timed) == []
    clock.now += 0.2
    [again] = claim(timed)
    assert names([again]) == ["a1"]
    assert (again.attempts, again.first_attempt_at) == (2, claims["a1"].claimed_at)


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.UNKNOWN])
def test_a_lane_goes_on_after_what_failed_and_after_what_is_uncertain(database, verdict):
    receive(database, ("a1", "a"), ("a2", "a"))
    [claimed] = claim(database)

    assert names(claim(database, settlements=[outcome(claimed, verdict)])) == ["a2"]
    assert statuses(database)["a1"] == verdict.status.value


def test_what_arrives_while_a_lane_is_under_way_is_not_forgotten(database):
    receive(database, ("a1", "a"))
    [claimed] = claim(database)
    receive(database, ("a2", "a"))

    assert claim(database) == []
    assert names(claim(database, settlements=[outcome(claimed)])) == ["a2"]


def test_what_a_dead_worker_held_is_claimed_again_after_its_lease_as_interrupted(timed, clock):
    receive(timed, ("a1", "a"), ("a2", "a"))
    [dead] = claim(timed)

    clock.now += LEASE - 1
    assert claim(timed) == []
    clock.now += 2
    [found] = claim(timed)
    assert found.interrupted
    assert (found.delivery_id, found.attempt_id, found.attempts) == (
        dead.delivery_id,
        dead.attempt_id,
        1,
    )
    assert names(claim(timed, settlements=[outcome(found, Verdict.UNKNOWN)])) == ["a2"]
    [attempt] = lists.delivery(timed, dead.delivery_id)["attempt_list"]
    assert (attempt["trouble"], attempt["verdict"]) == ("timeout", "unknown")


def test_a_worker_that_wakes_up_late_changes_nothing(timed, clock):
    receive(timed, ("a1", "a"))
    [late] = claim(timed)
    clock.now += LEASE + 1
    [found] = claim(timed)
    settle(timed, outcome(found, Verdict.UNKNOWN))

    settle(timed, outcome(late))
    assert statuses(timed) == {"a1": "uncertain"}


def test_a_settlement_that_is_repeated_changes_nothing(database):
    receive(database, ("a1", "a"))
    [claimed] = claim(database)
    settle(database, outcome(claimed))

    settle(database, outcome(claimed, Verdict.REJECTED))
    assert statuses(database) == {"a1": "delivered"}


def test_a_look_up_that_was_answered_is_not_asked_again(database):
    receive(database, ("a1", "a"))
    [asked] = claim(database)

    [go_on] = claim(database, settlements=[outcome(asked, status=Status.PENDING, step=1)])
    assert (go_on.step, go_on.attempts) == (1, 2)


def test_a_held_destination_is_left_alone_but_for_one_probe(timed, clock):
    receive(timed, *((f"m{n}", f"u{n}") for n in range(5)))
    first, second, *_ = claim(timed, limit=2)
    settle(timed, outcome(first, Verdict.HOLD, step=0), outcome(second, Verdict.HOLD, step=0))

    assert claim(timed) == []
    [hold] = lists.holds(timed)
    assert (hold["destination"], hold["reason"]) == ("rehook", "http_401")
    clock.now += PROBE + 1
    [probe] = claim(timed)
    assert probe.probe
    assert claim(timed) == []
    settle(timed, outcome(probe, Verdict.HOLD, step=0))
    clock.now += PROBE + 1
    [probe] = claim(timed)
    settle(timed, outcome(probe))
    assert lists.holds(timed) == []
    assert len(claim(timed)) == 4


def test_a_hold_spends_nothing(timed, clock):
    receive(timed, ("m1", "u"))
    [claimed] = claim(timed)
    settle(timed, outcome(claimed, Verdict.HOLD, step=0))
    clock.now += 10 * 24 * 3600
    [probe] = claim(timed)

    assert probe.first_attempt_at == clock.now


def test_what_waits_for_one_destination_holds_up_no_other(database):
    other = Delivery(mapping="M", destination="reward", action="x", customer="u", payload="{}")
    accept(database, [arrival("m1", "u"), arrival("m2", "u", deliveries=(other,))])
    [claimed] = claim(database)
    settle(database, outcome(claimed, Verdict.HOLD, step=0))

    assert claim(database) == []
    assert len(claim(database, destination="reward")) == 1


def test_a_lost_code_is_free_again(database):
    made = arrival("m1", "ada")
    accept(database, [replace(made, deliveries=(replace(made.deliveries[0], code="CODE"),))])
    [claimed] = claim(database)
    settle(database, outcome(claimed, Verdict.REJECTED, lost_code="CODE"))

    made = arrival("m2", "bob")
    [result] = accept(
        database, [replace(made, deliveries=(replace(made.deliveries[0], code="CODE"),))]
    )
    assert result.outcome == "accepted"


def sent_again(database, claimed):
    return len(retry.send_again(database, [claimed.delivery_id], Status.FAILED, by={}))


def test_failed_deliveries_are_sent_again_in_their_place(database):
    receive(database, ("a1", "a"), ("a2", "a"), ("a3", "a"))
    [first] = claim(database)
    [second] = claim(database, settlements=[outcome(first, Verdict.REJECTED)])
    assert sent_again(database, first) == 1

    assert sent_again(database, second) == 0
    [again] = claim(database, settlements=[outcome(second)])
    assert names([again]) == ["a1"]


def test_a_lane_that_is_at_rest_wakes_up_for_what_is_sent_again(database):
    receive(database, ("a1", "a"))
    [claimed] = claim(database)
    settle(database, outcome(claimed, Verdict.REJECTED))
    assert claim(database) == []

    assert sent_again(database, claimed) == 1
    assert names(claim(database)) == ["a1"]


def test_only_what_is_uncertain_can_be_marked_delivered(database):
    receive(database, ("a1", "a"), ("b1", "b"))
    claims = {names([c])[0]: c for c in claim(database)}
    settle(
        database, outcome(claims["a1"], Verdict.UNKNOWN), outcome(claims["b1"], Verdict.REJECTED)
    )

    ids = [claimed.delivery_id for claimed in claims.values()]
    assert len(retry.mark_delivered(database, ids)) == 1
    assert statuses(database) == {"a1": "delivered", "b1": "failed"}


def test_workers_side_by_side_never_have_the_same_lane(database):
    receive(database, *((f"m{n}", f"u{n % 20}") for n in range(200)))
    taken, lock, barrier = [], threading.Lock(), threading.Barrier(4)

    def work():
        barrier.wait()
        done = []
        while claims := claim(database, limit=5, settlements=done):
            with lock:
                taken.extend(claims)
            done = [outcome(claimed) for claimed in claims]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for left in claim(database, limit=200):  # what another had under way when its worker stopped
        taken.append(left)
    by_lane = {}
    for claimed in taken:
        by_lane.setdefault(claimed.lane_id, []).append(claimed.delivery_id)
    assert len(taken) == len({claimed.delivery_id for claimed in taken})
    assert all(ids == sorted(ids) for ids in by_lane.values())


def test_a_look_says_when_there_is_something_to_claim(timed, clock):
    def look(destination="rehook"):
        return poll.look(timed, [Wanted(destination=destination, room=1)])

    rate_limit.enter(timed, ["rehook", "reward"])
    assert look() == math.inf
    receive(timed, ("m1", "u"))
    assert look() == 0
    assert look("reward") == math.inf
    [claimed] = claim(timed)
    assert look() == LEASE
    settle(timed, outcome(claimed, Verdict.RETRY, wait=5.0))
    assert look() == 5
    clock.now += 6
    assert look() == 0


def test_a_turn_says_how_long_to_rest(timed):
    assert turn(timed).rest == math.inf
    receive(timed, ("m1", "u"))

    assert turn(timed).rest == 0.01  # then a look tells how it stands after the claim
    assert turn(timed).rest == LEASE  # its lane is free again then, if its worker dies


def test_a_lane_in_which_nothing_waits_is_let_rest(timed, clock):
    """Two hands sent a delivery again: one of them opened the lane after it was delivered."""
    with timed.writing() as connection:
        open_lanes(timed, connection, {("rehook", "u1"): False}, clock.now)
    assert claim(timed) == []

    assert turn(timed).rest == math.inf
    accept(timed, [arrival("m1")])
    assert len(claim(timed)) == 1
