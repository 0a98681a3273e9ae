"""Holds, the breaker and rate limits, as all workers together keep them: on each database."""

import json
import math
import threading
import time
from dataclasses import replace

from destination.model.lease import Acknowledgement
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store.queries import lists
from destination.store.queue import circuit_breaker, poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from tests.conftest import arrival

TERMS = Terms(lease=60.0, hold_probe=30.0, breaker_failures=5, breaker_probe=2.0)


def receive(database, count=100, start=0):
    """One delivery each for so many customers."""
    rate_limit.register(database, ["rehook"])
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(start, start + count)])


def lease(database, room=10, acks=(), **wanted):
    wants = [Capacity(destination="rehook", room=room, **wanted)] if room else []
    return poll.poll(database, acks, wants, TERMS).leases


def look(database, **wanted):
    return poll.look(database, [Capacity(destination="rehook", room=1, **wanted)])


def answered(leased, status=None, trouble=None):
    """A claim's settlement; a failure is tried again at once."""
    verdict = {200: Verdict.DELIVERED, 401: Verdict.HOLD}.get(status, Verdict.RETRY)
    exchange = Exchange(method="POST", url="http://engine/x", status=status, trouble=trouble)
    return Acknowledgement(
        lease=leased,
        exchange=exchange,
        verdict=verdict,
        status=verdict.status,
        reason=None if status == 200 else f"http_{status}",
    )


def fail(database, count, **why):
    leased = lease(database, count)
    lease(database, 0, [answered(one, **(why or {"status": 500})) for one in leased])


def held(database):
    return [hold["reason"] for hold in lists.holds(database)]


def test_the_breaker_opens_on_failures_in_a_row_and_not_before(timed):
    receive(timed)
    fail(timed, 4)
    assert held(timed) == []

    fail(timed, 1, trouble=Trouble.NOT_SENT)
    assert held(timed) == ["breaker"]
    assert lease(timed) == []


def test_one_success_begins_the_count_anew(timed):
    receive(timed)
    fail(timed, 4)
    [one] = lease(timed, 1)
    lease(timed, 0, [answered(one, 200)])
    fail(timed, 4)

    assert held(timed) == []


def test_what_is_our_own_fault_opens_no_breaker(timed):
    receive(timed)
    fail(timed, 10, trouble=Trouble.LATE)
    fail(timed, 10, status=429)
    fail(timed, 10, status=400)

    assert held(timed) == []


def test_while_it_fails_no_more_is_sent_than_opens_the_breaker(timed):
    receive(timed)
    fail(timed, 2)

    assert len(lease(timed, 10)) == 3
    assert len(lease(timed, 10, busy=3)) == 0


def test_workers_count_the_failures_together(timed):
    receive(timed)
    one, two = lease(timed, 3), lease(timed, 3)
    lease(timed, 0, [answered(leased, 500) for leased in one])
    lease(timed, 0, [answered(leased, 500) for leased in two])

    assert held(timed) == ["breaker"]


def test_an_open_breaker_is_probed_by_one_at_a_time_and_closes_by_itself(timed, clock):
    receive(timed)
    fail(timed, 5)
    assert look(timed) == 2
    clock.now += 2
    [probe] = lease(timed)
    assert probe.probe
    clock.now += 30  # as long as it is under way, there is no other
    assert lease(timed) == []
    lease(timed, 0, [answered(probe, 503)])
    assert lease(timed) == []

    clock.now += 2
    [probe] = lease(timed)
    lease(timed, 0, [answered(probe, 200)])
    assert held(timed) == []
    assert len(lease(timed)) == 10


def test_a_probe_that_is_refused_for_itself_closes_the_breaker_too(timed, clock):
    receive(timed)
    fail(timed, 5)
    clock.now += 2
    [probe] = lease(timed)
    lease(timed, 0, [answered(probe, 429)])

    assert held(timed) == []


def test_a_probe_whose_worker_died_is_repeated_after_its_lease(timed, clock):
    receive(timed)
    fail(timed, 5)
    clock.now += 2
    assert len(lease(timed)) == 1
    clock.now += TERMS.lease

    assert len(lease(timed)) == 1


def test_a_hold_by_hand_lasts_until_it_is_resumed(timed, clock):
    receive(timed)
    circuit_breaker.hold(timed, "rehook")
    clock.now += 1_000_000
    assert lease(timed) == []
    assert look(timed) == math.inf

    assert circuit_breaker.resume(timed, "rehook")
    assert not circuit_breaker.resume(timed, "rehook")
    assert len(lease(timed)) == 10


def test_what_is_under_way_does_not_end_a_hold_by_hand(timed):
    receive(timed)
    leased = lease(timed, 8)
    circuit_breaker.hold(timed, "rehook")
    lease(timed, 0, [answered(one, 401) for one in leased[:2]])
    lease(timed, 0, [answered(one, 500) for one in leased[2:]])
    rate_limit.register(timed, ["rehook"])  # a worker starts

    assert held(timed) == ["by_hand"]
    assert lease(timed) == []


def test_resuming_forgets_the_failures(timed):
    receive(timed)
    fail(timed, 5)
    circuit_breaker.resume(timed, "rehook")

    assert len(lease(timed)) == 10


def test_a_rate_limit_holds_for_all_workers_together(timed, clock):
    receive(timed, 400)
    began, sent = clock.now, 0
    for _ in range(200):  # two workers that want more than they may, every 10 ms each
        clock.now += 0.005
        sent += len(lease(timed, 50, rate=100.0))

    assert 0.95 <= sent / ((clock.now - began) * 100) <= 1.12


def test_no_second_exceeds_the_rate_by_more_than_a_tenth(timed, clock):
    receive(timed, 200)
    clock.now += 3600  # what was not used yesterday is not used today

    assert len(lease(timed, 200, rate=50.0)) == 5
    assert look(timed, rate=50.0) > 0.01


def test_a_slow_limit_lets_one_leave_at_a_time(timed, clock):
    receive(timed, 10)
    assert len(lease(timed, rate=0.5)) == 1
    assert look(timed, rate=0.5) == 2
    clock.now += 1.9
    assert lease(timed, rate=0.5) == []
    clock.now += 0.2
    assert len(lease(timed, rate=0.5)) == 1


def test_waiting_for_a_rate_limit_costs_no_attempt(timed, clock):
    receive(timed, 3)
    lease(timed, rate=0.5)
    for _ in range(20):
        lease(timed, rate=0.5)
        clock.now += 0.05

    attempts = sorted(row["attempts"] for row in lists.deliveries(timed))
    assert attempts == [0, 0, 1]


def test_workers_side_by_side_never_exceed_the_rate(database):
    receive(database, 300)
    sent, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        for _ in range(10):
            sent.extend(lease(database, 100, rate=1000.0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    began = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) <= (time.time() - began) * 1000 + 101


def test_workers_together_have_no_more_under_way_than_is_allowed(timed, clock):
    receive(timed, 20)
    first, second = lease(timed, 2, most=3), lease(timed, 5, most=3)
    assert (len(first), len(second)) == (2, 1)
    assert lease(timed, 5, most=3) == []

    lease(timed, 0, [answered(first[0], 200)])
    assert len(lease(timed, 5, most=3)) == 1
    clock.now += 61  # whoever had them is dead
    assert len(lease(timed, 5, most=3)) == 3


def test_workers_side_by_side_never_have_more_under_way_than_is_allowed(database):
    receive(database, 40)
    sent, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        sent.append(len(lease(database, 5, most=7)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 7


def flood(database, count, start=0):
    """Bulk for so many customers."""
    rate_limit.register(database, ["rehook"])
    made = [arrival(f"bulk{n}", f"b{n}") for n in range(start, start + count)]
    enqueue(
        database,
        [replace(one, deliveries=(replace(one.deliveries[0], bulk=True),)) for one in made],
    )


def kinds(leases):
    return [leased.bulk for leased in leases]


def test_bulk_leaves_after_everything_else_and_has_a_fifth_beside_it(timed, clock):
    flood(timed, 50)
    clock.now += 10
    receive(timed, 3)

    assert kinds(lease(timed, 10)) == [False] * 3 + [True] * 2


def test_bulk_alone_leaves_a_fifth_free_for_what_may_come(timed):
    flood(timed, 50)

    assert kinds(lease(timed, 10)) == [True] * 8
    assert look(timed, busy=8, bulk=8) == math.inf
    receive(timed, 5)
    wanted = Capacity(destination="rehook", room=2, busy=8, bulk=8)
    turn = poll.poll(timed, [], [wanted], TERMS)
    assert kinds(turn.leases) == [False] * 2


def test_a_worker_in_a_hurry_takes_no_bulk(timed):
    flood(timed, 50)
    wanted = Capacity(destination="rehook", room=10, takes_bulk=False)
    assert poll.look(timed, [wanted]) == math.inf

    receive(timed, 3)
    turn = poll.poll(timed, [], [wanted], TERMS)
    assert kinds(turn.leases) == [False] * 3


def test_a_purchase_behind_a_flood_leaves_with_the_next_turn(database):
    """However many wait, and though the worker has all under way that bulk may have."""
    flood(database, 1000)
    under_way = []
    for number in range(5):
        bulk = Capacity(destination="rehook", room=10 - len(under_way), busy=len(under_way))
        wanted = replace(bulk, bulk=len(under_way))
        under_way += poll.poll(database, [], [wanted], TERMS).leases
        assert kinds(under_way) == [True] * 8
        enqueue(database, [arrival(f"purchase{number}", f"buyer{number}")])

        wanted = Capacity(destination="rehook", room=2, busy=8, bulk=8)
        answers = [answered(one, 200) for one in under_way[:4]]
        [purchase, *more] = poll.poll(database, answers, [wanted], TERMS).leases
        assert (purchase.bulk, more) == (False, [])
        under_way = under_way[4:]
        lease(database, 0, [answered(purchase, 200)])


def test_one_at_a_time_bulk_still_leaves(timed):
    flood(timed, 2)

    assert kinds(lease(timed, 1)) == [True]


def test_what_waits_behind_bulk_takes_it_along(timed, clock):
    flood(timed, 20)
    clock.now += 10
    enqueue(timed, [arrival("purchase", "b7")])

    first, *rest = lease(timed, 10)
    assert (first.bulk, json.loads(first.payload)["source_id"]) == (False, "b7")
    assert kinds(rest) == [True, True]


def test_a_lane_that_was_empty_is_bulk_again(timed):
    receive(timed, 1)
    lease(timed, 0, [answered(leased, 200) for leased in lease(timed)])
    made = arrival("bulk", "u0")
    enqueue(timed, [replace(made, deliveries=(replace(made.deliveries[0], bulk=True),))])

    assert kinds(lease(timed)) == [True]
