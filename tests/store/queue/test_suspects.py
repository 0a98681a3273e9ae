"""What was under way when a worker died: counted, and sent by one worker at a time."""

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store import schema
from destination.store.queue import poll
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity
from tests.leasing import (
    LEASE,
    PROBE,
    TERMS,
    acknowledge,
    lease,
    names,
    outcome,
    receive,
    statuses,
    turn,
)
from tests.store.machine import an_arrival

DIED = Exchange(method="", url="", trouble=Trouble.WORKER_DIED)
LATE = Exchange(method="", url="", trouble=Trouble.LATE)

#: Seconds after which everything that was given back is ready again.
GIVEN_BACK = 2.0


def crashes(database):
    """How many workers have died of each delivery, by its payload's name."""
    query = sa.select(schema.delivery.c.payload, schema.delivery.c.crashes)
    with database.reading() as connection:
        return {row.payload.split('"')[3]: row.crashes for row in connection.execute(query)}


def die(database, clock, **wanted):
    """The worker dies with everything under way; another one takes it up, to be sent again."""
    clock.now += LEASE + 1
    left = lease(database, **wanted)
    assert all(one.interrupted for one in left)
    again = {"exchange": DIED, "status": Status.PENDING, "step": 0}
    acknowledge(database, *(outcome(one, Verdict.RETRY, **again) for one in left))
    return left


def test_a_worker_that_died_counts_once_for_each_delivery_that_it_had(timed, clock):
    receive(timed, ("a1", "a"), ("a2", "a"), ("b1", "b"))
    lease(timed)

    assert sorted(names(die(timed, clock))) == ["a1", "b1"]
    assert crashes(timed) == {"a1": 1, "a2": 0, "b1": 1}


def test_a_worker_that_dies_before_it_wrote_that_another_died_is_not_counted(timed, clock):
    receive(timed, ("a1", "a"))
    lease(timed)
    clock.now += LEASE + 1
    [seen] = lease(timed)
    assert seen.interrupted

    die(timed, clock)
    assert crashes(timed) == {"a1": 1}


def test_suspects_are_leased_one_at_a_time_and_everything_else_beside_them(timed, clock):
    receive(timed, *((f"old{n}", f"u{n}") for n in range(6)))
    lease(timed)
    die(timed, clock)
    receive(timed, *((f"new{n}", f"v{n}") for n in range(6)))

    taken = lease(timed, limit=20)
    suspects = [one for one in taken if one.suspect]
    assert len(suspects) == 1
    assert len(taken) == 7
    clock.now += GIVEN_BACK
    assert lease(timed, takes_suspect=False) == []
    clock.now += GIVEN_BACK
    [next_one] = lease(timed, acks=[outcome(suspects[0])])
    assert next_one.suspect


def test_of_two_destinations_a_poll_leases_one_suspect(timed, clock):
    both = ("rehook", "reward")
    enqueue(timed, [an_arrival(f"m-{to}", to, "ada", dropped=False) for to in both])
    for name in both:
        lease(timed, destination=name)
    for name in both:
        die(timed, clock, destination=name)
    wanted = [Capacity(destination=name, room=5) for name in both]

    assert len(poll.poll(timed, [], wanted, TERMS).leases) == 1


def test_everyone_that_is_given_back_has_its_turn(timed, clock):
    receive(timed, *((f"m{n}", f"u{n}") for n in range(9)))
    lease(timed)
    die(timed, clock)
    acks = []
    for _ in range(9):
        clock.now += GIVEN_BACK
        [one] = lease(timed, acks=acks)
        acks = [outcome(one)]

    assert lease(timed, acks=acks) == []
    assert set(statuses(timed).values()) == {"delivered"}


def test_a_suspect_that_is_answered_is_no_suspect_any_more(timed, clock):
    receive(timed, ("a1", "a"))
    lease(timed)
    die(timed, clock)
    [one] = lease(timed)
    acknowledge(timed, outcome(one, Verdict.RETRY, step=0))

    assert crashes(timed) == {"a1": 0}


def test_a_suspect_that_was_not_sent_stays_one(timed, clock):
    receive(timed, ("a1", "a"))
    lease(timed)
    die(timed, clock)
    [one] = lease(timed)
    acknowledge(timed, outcome(one, Verdict.RETRY, exchange=LATE, step=0))

    assert crashes(timed) == {"a1": 1}


def test_a_late_result_takes_back_what_was_counted_for_its_worker(timed, clock):
    receive(timed, ("a1", "a"))
    [paused] = lease(timed)
    die(timed, clock)
    late = outcome(paused)

    assert crashes(timed) == {"a1": 1}
    acknowledge(timed, late)
    acknowledge(timed, late)
    assert crashes(timed) == {"a1": 0}
    assert statuses(timed) == {"a1": "pending"}


def test_a_late_result_that_comes_before_its_worker_is_counted_dead_is_as_good(timed, clock):
    receive(timed, ("a1", "a"))
    [paused] = lease(timed)
    clock.now += LEASE + 1
    [left] = lease(timed)
    acknowledge(timed, outcome(paused))
    again = {"exchange": DIED, "status": Status.PENDING, "step": 0}
    acknowledge(timed, outcome(left, Verdict.RETRY, **again))

    assert crashes(timed) == {"a1": 0}


def test_a_late_result_takes_back_only_its_own(timed, clock):
    receive(timed, ("a1", "a"))
    [paused] = lease(timed)
    die(timed, clock)
    lease(timed)
    die(timed, clock)

    acknowledge(timed, outcome(paused))
    assert crashes(timed) == {"a1": 1}


def test_that_a_worker_died_is_no_sign_that_it_lives(timed, clock):
    receive(timed, ("a1", "a"))
    lease(timed)
    [left] = die(timed, clock)

    acknowledge(timed, outcome(left, Verdict.RETRY, exchange=DIED, status=Status.PENDING))
    assert crashes(timed) == {"a1": 1}


def test_a_poll_says_which_acknowledgements_held(timed, clock):
    receive(timed, ("a1", "a"), ("b1", "b"))
    one, other = lease(timed)
    clock.now += LEASE + 1
    [again] = lease(timed, limit=1)
    held = turn(timed, 0, [outcome(one), outcome(other)]).acknowledged

    assert [ack.lease for ack in held] == [other if again.lane_id == one.lane_id else one]


def test_a_probe_is_not_spent_on_a_suspect_that_is_given_back(timed, clock):
    receive(timed, ("a1", "a"))
    lease(timed)
    die(timed, clock)
    receive(timed, ("b1", "b"))
    [other] = lease(timed, takes_suspect=False)
    acknowledge(timed, outcome(other, Verdict.HOLD, step=0, wait=1000.0))
    clock.now += PROBE + 1

    assert lease(timed, takes_suspect=False) == []
    clock.now += GIVEN_BACK
    [probe] = lease(timed)
    assert (names([probe]), probe.probe) == (["a1"], True)
