"""Claiming and settling, on each database."""

import math
import threading
from dataclasses import replace

import pytest

from destination.model.delivery import Delivery, Status
from destination.model.verdict import Verdict
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue, open_lanes
from destination.store.queue.rate_limit import Capacity
from destination.store.replay import retry
from tests.conftest import arrival
from tests.leasing import LEASE, PROBE, acknowledge, lease, names, outcome, receive, statuses, turn


def test_a_lane_leaves_in_order_one_at_a_time(database):
    receive(database, ("a1", "a"), ("a2", "a"), ("b1", "b"))

    first = lease(database)
    assert sorted(names(first)) == ["a1", "b1"]
    assert lease(database) == []
    assert names(lease(database, acks=[outcome(c) for c in first])) == ["a2"]
    assert statuses(database) == {"a1": "delivered", "a2": "sending", "b1": "delivered"}


def test_no_more_is_claimed_than_is_wanted(database):
    receive(database, *((f"m{n}", f"u{n}") for n in range(10)))

    assert len(lease(database, limit=3)) == 3
    assert len(lease(database, limit=30)) == 7


def test_the_attempt_is_written_before_the_request_leaves(database):
    receive(database, ("m1", "u"))
    [leased] = lease(database)

    [attempt] = lists.delivery(database, leased.delivery_id)["attempt_list"]
    assert (attempt["number"], attempt["ended_at"], attempt["verdict"]) == (1, None, None)
    acknowledge(database, outcome(leased))
    [attempt] = lists.delivery(database, leased.delivery_id)["attempt_list"]
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
    leases = {names([c])[0]: c for c in lease(timed)}

    acknowledge(
        timed, outcome(leases["a1"], Verdict.RETRY, wait=30.0, step=0), outcome(leases["b1"])
    )
    assert lease(timed) == []
    clock.now += 29.9
    assert lease(timed) == []
    clock.now += 0.2
    [again] = lease(timed)
    assert names([again]) == ["a1"]
    assert (again.attempts, again.first_attempt_at) == (2, leases["a1"].leased_at)


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.UNKNOWN])
def test_a_lane_goes_on_after_what_failed_and_after_what_is_uncertain(database, verdict):
    receive(database, ("a1", "a"), ("a2", "a"))
    [leased] = lease(database)

    assert names(lease(database, acks=[outcome(leased, verdict)])) == ["a2"]
    assert statuses(database)["a1"] == verdict.status.value


def test_what_arrives_while_a_lane_is_under_way_is_not_forgotten(database):
    receive(database, ("a1", "a"))
    [leased] = lease(database)
    receive(database, ("a2", "a"))

    assert lease(database) == []
    assert names(lease(database, acks=[outcome(leased)])) == ["a2"]


def test_what_a_dead_worker_held_is_claimed_again_after_its_lease_as_interrupted(timed, clock):
    receive(timed, ("a1", "a"), ("a2", "a"))
    [dead] = lease(timed)

    clock.now += LEASE - 1
    assert lease(timed) == []
    clock.now += 2
    [found] = lease(timed)
    assert found.interrupted
    assert (found.delivery_id, found.attempt_id, found.attempts) == (
        dead.delivery_id,
        dead.attempt_id,
        1,
    )
    assert names(lease(timed, acks=[outcome(found, Verdict.UNKNOWN)])) == ["a2"]
    [attempt] = lists.delivery(timed, dead.delivery_id)["attempt_list"]
    assert (attempt["trouble"], attempt["verdict"]) == ("timeout", "unknown")


def test_a_worker_that_wakes_up_late_changes_nothing(timed, clock):
    receive(timed, ("a1", "a"))
    [late] = lease(timed)
    clock.now += LEASE + 1
    [found] = lease(timed)
    acknowledge(timed, outcome(found, Verdict.UNKNOWN))

    acknowledge(timed, outcome(late))
    assert statuses(timed) == {"a1": "uncertain"}


def test_a_settlement_that_is_repeated_changes_nothing(database):
    receive(database, ("a1", "a"))
    [leased] = lease(database)
    acknowledge(database, outcome(leased))

    acknowledge(database, outcome(leased, Verdict.REJECTED))
    assert statuses(database) == {"a1": "delivered"}


def test_a_look_up_that_was_answered_is_not_asked_again(database):
    receive(database, ("a1", "a"))
    [asked] = lease(database)

    [go_on] = lease(database, acks=[outcome(asked, status=Status.PENDING, step=1)])
    assert (go_on.step, go_on.attempts) == (1, 2)


def test_a_held_destination_is_left_alone_but_for_one_probe(timed, clock):
    receive(timed, *((f"m{n}", f"u{n}") for n in range(5)))
    first, second, *_ = lease(timed, limit=2)
    acknowledge(timed, outcome(first, Verdict.HOLD, step=0), outcome(second, Verdict.HOLD, step=0))

    assert lease(timed) == []
    [hold] = lists.holds(timed)
    assert (hold["destination"], hold["reason"]) == ("rehook", "http_401")
    clock.now += PROBE + 1
    [probe] = lease(timed)
    assert probe.probe
    assert lease(timed) == []
    acknowledge(timed, outcome(probe, Verdict.HOLD, step=0))
    clock.now += PROBE + 1
    [probe] = lease(timed)
    acknowledge(timed, outcome(probe))
    assert lists.holds(timed) == []
    assert len(lease(timed)) == 4


def test_a_hold_spends_nothing(timed, clock):
    receive(timed, ("m1", "u"))
    [leased] = lease(timed)
    acknowledge(timed, outcome(leased, Verdict.HOLD, step=0))
    clock.now += 10 * 24 * 3600
    [probe] = lease(timed)

    assert probe.first_attempt_at == clock.now


def test_what_waits_for_one_destination_holds_up_no_other(database):
    other = Delivery(mapping="M", destination="reward", action="x", customer="u", payload="{}")
    enqueue(database, [arrival("m1", "u"), arrival("m2", "u", deliveries=(other,))])
    [leased] = lease(database)
    acknowledge(database, outcome(leased, Verdict.HOLD, step=0))

    assert lease(database) == []
    assert len(lease(database, destination="reward")) == 1


def test_a_lost_code_is_free_again(database):
    made = arrival("m1", "ada")
    enqueue(database, [replace(made, deliveries=(replace(made.deliveries[0], code="CODE"),))])
    [leased] = lease(database)
    acknowledge(database, outcome(leased, Verdict.REJECTED, lost_code="CODE"))

    made = arrival("m2", "bob")
    [result] = enqueue(
        database, [replace(made, deliveries=(replace(made.deliveries[0], code="CODE"),))]
    )
    assert result.outcome == "accepted"


def sent_again(database, leased):
    return len(retry.send_again(database, [leased.delivery_id], Status.FAILED, destinations={}))


def test_failed_deliveries_are_sent_again_in_their_place(database):
    receive(database, ("a1", "a"), ("a2", "a"), ("a3", "a"))
    [first] = lease(database)
    [second] = lease(database, acks=[outcome(first, Verdict.REJECTED)])
    assert sent_again(database, first) == 1

    assert sent_again(database, second) == 0
    [again] = lease(database, acks=[outcome(second)])
    assert names([again]) == ["a1"]


def test_a_lane_that_is_at_rest_wakes_up_for_what_is_sent_again(database):
    receive(database, ("a1", "a"))
    [leased] = lease(database)
    acknowledge(database, outcome(leased, Verdict.REJECTED))
    assert lease(database) == []

    assert sent_again(database, leased) == 1
    assert names(lease(database)) == ["a1"]


def test_only_what_is_uncertain_can_be_marked_delivered(database):
    receive(database, ("a1", "a"), ("b1", "b"))
    leases = {names([c])[0]: c for c in lease(database)}
    acknowledge(
        database, outcome(leases["a1"], Verdict.UNKNOWN), outcome(leases["b1"], Verdict.REJECTED)
    )

    ids = [leased.delivery_id for leased in leases.values()]
    assert len(retry.mark_delivered(database, ids)) == 1
    assert statuses(database) == {"a1": "delivered", "b1": "failed"}


def test_workers_side_by_side_never_have_the_same_lane(database):
    receive(database, *((f"m{n}", f"u{n % 20}") for n in range(200)))
    taken, lock, barrier = [], threading.Lock(), threading.Barrier(4)

    def work():
        barrier.wait()
        done = []
        while leases := lease(database, limit=5, acks=done):
            with lock:
                taken.extend(leases)
            done = [outcome(leased) for leased in leases]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for left in lease(database, limit=200):  # what another had under way when its worker stopped
        taken.append(left)
    by_lane = {}
    for leased in taken:
        by_lane.setdefault(leased.lane_id, []).append(leased.delivery_id)
    assert len(taken) == len({leased.delivery_id for leased in taken})
    assert all(ids == sorted(ids) for ids in by_lane.values())


def test_a_look_says_when_there_is_something_to_claim(timed, clock):
    def look(destination="rehook"):
        return poll.look(timed, [Capacity(destination=destination, room=1)])

    rate_limit.register(timed, ["rehook", "reward"])
    assert look() == math.inf
    receive(timed, ("m1", "u"))
    assert look() == 0
    assert look("reward") == math.inf
    [leased] = lease(timed)
    assert look() == LEASE
    acknowledge(timed, outcome(leased, Verdict.RETRY, wait=5.0))
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
    assert lease(timed) == []

    assert turn(timed).rest == math.inf
    enqueue(timed, [arrival("m1")])
    assert len(lease(timed)) == 1
