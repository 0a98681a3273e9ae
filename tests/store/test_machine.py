"""The store under random operations and a clock that only the test turns: what must always be true.

Hypothesis draws operations, and looks after every one of them whether anything is broken; what it
finds it shortens to the fewest operations that break it. `machine.py` has what it expects.
"""

from collections import defaultdict
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.reason import HoldReason
from destination.model.verdict import Verdict
from destination.store import schema
from destination.store.database import Database
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queue import circuit_breaker, poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity
from destination.store.replay.retry import mark_delivered, send_again
from tests.conftest import Clock
from tests.store.machine import (
    BREAKER_PROBE,
    CUSTOMERS,
    DESTINATIONS,
    LEASE,
    OPEN,
    PROBE,
    RATES,
    TERMS,
    Expected,
    Lane,
    Standing,
    Taken,
    a_settlement,
    an_arrival,
    check_that_every_try_is_written_down,
)

#: A call's number, destination and customer, and whether it is dropped.
Call = tuple[int, str, str, bool]

#: Whose lane, what came of it, seconds to wait, and whether another request comes next.
Result = tuple[int, Verdict, float, bool]

VERDICTS = [
    Verdict.DELIVERED,
    Verdict.DELIVERED,
    Verdict.RETRY,
    Verdict.REJECTED,
    Verdict.UNKNOWN,
    Verdict.HOLD,
]


class Store(RuleBasedStateMachine):
    """Receivers and workers on one database, in every order that chance finds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self.database, self.clock = database, clock
        with database.writing() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        rate_limit.register(database, DESTINATIONS)
        self.known: set[str] = set()
        self.discarded: set[str] = set()
        #: The deliveries of each lane in the order in which they were accepted.
        self.lanes: dict[Lane, list[Expected]] = defaultdict(list)
        #: The claim that may settle each lane, and those that may settle nothing any more.
        self.holders: dict[Lane, Taken] = {}
        self.past: list[Taken] = []
        #: Before when a lane may not send, because an answer said so.
        self.not_before: dict[Lane, float] = defaultdict(float)
        self.standings = {name: Standing(rate) for name, rate in RATES.items()}

    @initialize()
    def begin(self) -> None:
        lanes = [(d, c) for d in DESTINATIONS for c in CUSTOMERS] * 3
        self._arrive([(100 + n, *lane, False) for n, lane in enumerate(lanes)])

    @rule(
        calls=st.lists(
            st.tuples(
                st.integers(0, 30),
                st.sampled_from(DESTINATIONS),
                st.sampled_from(CUSTOMERS),
                st.booleans(),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def arrive(self, calls: list[Call]) -> None:
        """Calls arrive, some of them again; now and then one is dropped."""
        self._arrive(calls)

    def _arrive(self, calls: list[Call]) -> None:
        arrivals, outcomes = [], []
        for number, destination, customer, dropped in calls:
            message = f"m{number}"
            arrivals.append(an_arrival(message, destination, customer, dropped=dropped))
            if message in self.known:
                outcomes.append("duplicate")
                continue
            self.known.add(message)
            outcomes.append("discarded" if dropped else "accepted")
            if dropped:
                self.discarded.add(message)
            else:
                self.lanes[destination, customer].append(Expected(message))
        assert [o.outcome for o in enqueue(self.database, arrivals)] == outcomes

    @rule(seconds=st.sampled_from([LEASE + 1, PROBE + 1, LEASE - 1, BREAKER_PROBE, 3.0, 1000.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(
        results=st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(VERDICTS),
                st.sampled_from([0.0, 5.0, 1000.0]),
                st.booleans(),
            ),
            max_size=3,
        ),
        destinations=st.sampled_from([DESTINATIONS, ["rehook"], ["reward"], []]),
        limit=st.integers(1, 3),
    )
    def work(self, results: list[Result], destinations: list[str], limit: int) -> None:
        """A worker's turn: it settles what it has sent, and claims what comes next."""
        acks = []
        for index, verdict, wait, more in results:
            if not self.holders:
                break
            lane = sorted(self.holders)[index % len(self.holders)]
            acks.append(self._settled(self.holders[lane], verdict, wait, more=more))
        for name, standing in self.standings.items():
            told = [one for one in acks if one.lease.destination == name]
            standing.learn(told, self.clock.now)
        leases = self._turn(acks, dict.fromkeys(destinations, limit))
        for lease in leases:
            self._took(lease)
        self._forget_what_was_given_back()
        for destination in destinations:
            standing = self.standings[destination]
            mine = [lease for lease in leases if lease.destination == destination]
            most = standing.most(limit, self.clock.now)
            assert len(mine) <= most, "more was sent than its pace permits"
            if len(mine) < most:
                assert not self._ready(destination), "a lane is ready, and was not claimed"
            standing.took(mine, self.clock.now)

    @rule()
    def work_on(self) -> None:
        """A worker's turn in which all goes well."""
        results = [(0, Verdict.DELIVERED, 0.0, False)] * len(self.holders)
        self.work(results, DESTINATIONS, 3)

    @precondition(lambda self: self._held())
    @rule(verdict=st.sampled_from(VERDICTS))
    def probe(self, verdict: Verdict) -> None:
        """What is on hold is probed, and answers."""
        self.clock.now += PROBE + 1
        self.work([], DESTINATIONS, 1)
        for index, lane in enumerate(sorted(self.holders)):
            if self.holders[lane].lease.probe:
                self.work([(index, verdict, 0.0, False)], [], 1)
                return

    @precondition(lambda self: self.past)
    @rule(index=st.integers(0, 30), verdict=st.sampled_from(Verdict))
    def settle_late(self, index: int, verdict: Verdict) -> None:
        """A worker wakes up, or repeats itself: the lane is somebody else's, or was settled."""
        before = _but_crashes(self._everything())
        taken = self.past[index % len(self.past)]
        assert self._turn([a_settlement(taken.lease, verdict, verdict.status, 0.0)], {}) == []
        taken.expected.answered_late(taken.lease)
        assert _but_crashes(self._everything()) == before, "a late settlement changed something"

    @rule()
    def start_a_worker(self) -> None:
        """A worker starts, perhaps with what was put right: what is on hold is probed at once."""
        assert set(rate_limit.register(self.database, DESTINATIONS)) == self._held().keys()
        for standing in self.standings.values():
            standing.probe_at_once(self.clock.now)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def hold_by_hand(self, destination: str) -> None:
        circuit_breaker.hold(self.database, destination)
        self.standings[destination].hold(HoldReason.BY_HAND, None)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def resume_by_hand(self, destination: str) -> None:
        assert circuit_breaker.resume(self.database, destination) == (destination in self._held())
        self.standings[destination].resume()

    @rule(destination=st.sampled_from(DESTINATIONS))
    def fail_as_a_whole(self, destination: str) -> None:
        """An engine goes down: whatever is sent to it, until its breaker opens."""
        for _ in range(3):
            self.clock.now += LEASE + 1
            self.work([], [destination], 3)
            lanes = [lane for lane in sorted(self.holders) if lane[0] == destination]
            first = sorted(self.holders).index(lanes[0]) if lanes else 0
            self.work([(first, Verdict.RETRY, 0.0, False)] * len(lanes), [], 1)

    @precondition(lambda self: self._standing(Status.FAILED, Status.UNCERTAIN))
    @rule(index=st.integers(0, 30))
    def retry_by_hand(self, index: int) -> None:
        found = self._standing(Status.FAILED, Status.UNCERTAIN)
        chosen = found[index % len(found)]
        [row] = lists.deliveries(self.database, Filter(message_id=chosen.message))
        assert send_again(self.database, [row["id"]], chosen.status, destinations={}) == {row["id"]}
        chosen.status = Status.PENDING

    @rule(index=st.integers(0, 30))
    def settle_by_hand(self, index: int) -> None:
        """Somebody has looked: what is uncertain is delivered, and nothing else."""
        found = self._standing(*Status)
        chosen = found[index % len(found)]
        [row] = lists.deliveries(self.database, Filter(message_id=chosen.message))
        marked = len(mark_delivered(self.database, [row["id"]]))
        assert marked == (chosen.status is Status.UNCERTAIN)
        if marked:
            chosen.status = Status.DELIVERED

    def _turn(self, acks: list[Acknowledgement], wanted: dict[str, int]) -> list[Lease]:
        wants = [
            Capacity(
                destination=name, room=limit, rate=RATES[name], takes_suspect=not self._suspects()
            )
            for name, limit in wanted.items()
        ]
        return poll.poll(self.database, acks, wants, TERMS).leases

    def _settled(
        self, taken: Taken, verdict: Verdict, wait: float, *, more: bool
    ) -> Acknowledgement:
        """What a claim came to; from now on it is past, and the lane expects what it says."""
        if taken.lease.interrupted:  # nobody saw its answer
            verdict = Verdict.UNKNOWN if verdict is Verdict.UNKNOWN else Verdict.RETRY
        status = verdict.status
        if verdict is Verdict.DELIVERED and more:
            status = Status.PENDING  # a look-up was answered: the request itself comes next
        ack = a_settlement(taken.lease, verdict, status, wait)
        del self.holders[taken.lane]
        self.past.append(taken)
        self.not_before[taken.lane] = self.clock.now + ack.wait
        taken.expected.status = status
        taken.expected.answered(taken.lease)
        return ack

    def _suspects(self) -> int:
        """How many are under way of which a worker may die."""
        return sum(taken.lease.suspect for taken in self.holders.values())

    def _held(self) -> dict[str, float | None]:
        """The destinations on hold, each with the time of its next probe."""
        return {name: each.probe_at for name, each in self.standings.items() if each.reason}

    def _took(self, lease: Lease) -> None:
        """Check one claim: the lane is nobody else's, and its head leaves, not before its time."""
        row = lists.delivery(self.database, lease.delivery_id)
        assert row is not None
        lane = (row["destination"], row["lane"])
        holder = self.holders.get(lane)
        if holder is not None:
            assert holder.ends <= self.clock.now, "a lane has two holders"
            self.past.append(holder)
        assert self.not_before[lane] <= self.clock.now, "it left before its time"
        head = self._waiting(lane)[0]
        assert row["message_id"] == head.message, "somebody was ahead in the lane"
        assert lease.interrupted == (head.status is Status.SENDING)
        head.attempts += not lease.interrupted
        assert lease.attempts == head.attempts
        head.status = Status.SENDING
        assert lease.crashes == head.crashes
        self.holders[lane] = Taken(lease, lane, head, self.clock.now + LEASE)
        assert self._suspects() <= 1, "two suspects are under way"

    def _forget_what_was_given_back(self) -> None:
        """A lane whose lease has ended was leased for a suspect that somebody retried, and given
        back: from then on the old lease may settle nothing.
        """
        with self.database.reading() as connection:
            lanes = connection.execute(sa.select(schema.lane))
            owners = {(row.destination, row.customer): row.owner for row in lanes}
        for lane, taken in list(self.holders.items()):
            if taken.ends <= self.clock.now and taken.lease.token != owners[lane]:
                self.past.append(self.holders.pop(lane))

    def _waiting(self, lane: Lane) -> list[Expected]:
        return [found for found in self.lanes[lane] if found.status in OPEN]

    def _standing(self, *statuses: Status) -> list[Expected]:
        return [e for lane in self.lanes.values() for e in lane if e.status in statuses]

    def _ready(self, destination: str) -> list[Any]:
        lane = schema.lane
        condition = (lane.c.destination == destination) & (lane.c.ready_at <= self.clock.now)
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(lane).where(condition)))

    def _everything(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        with self.database.reading() as connection:
            return {
                table.name: list(connection.execute(sa.select(table).order_by(*table.primary_key)))
                for table in schema.metadata.sorted_tables
            }

    @invariant()
    def all_is_well(self) -> None:
        rows = self._everything()
        names = {row.id: row.message_id for row in rows["event"]}
        deliveries = {names[row.event_id]: row for row in rows["delivery"]}
        self._check_that_nothing_disappears(rows, names, deliveries)
        self._check_that_the_delivered_rest(deliveries)
        self._check_that_lanes_wake_for_what_waits(rows["lane"])
        check_that_every_try_is_written_down(rows["delivery"], rows["attempt"])

    def _check_that_nothing_disappears(
        self, rows: dict[str, list[Any]], names: dict[int, str], deliveries: dict[str, Any]
    ) -> None:
        assert set(names.values()) == self.known
        assert {names[row.event_id] for row in rows["discard"]} == self.discarded
        assert {row.destination: row.probe_at for row in rows["hold"]} == self._held()
        failures = {row.destination: row.failures for row in rows["pace"]}
        assert failures == {name: each.failures for name, each in self.standings.items()}
        expected = {e.message: e.status.value for lane in self.lanes.values() for e in lane}
        assert {name: row.status for name, row in deliveries.items()} == expected
        crashes = {e.message: e.crashes for lane in self.lanes.values() for e in lane}
        assert {name: row.crashes for name, row in deliveries.items()} == crashes

    def _check_that_the_delivered_rest(self, deliveries: dict[str, Any]) -> None:
        for expected in self._standing(Status.DELIVERED):
            expected.frozen = expected.frozen or deliveries[expected.message]
            assert deliveries[expected.message] == expected.frozen

    def _check_that_lanes_wake_for_what_waits(self, lanes: list[Any]) -> None:
        for row in lanes:
            waits = bool(self._waiting((row.destination, row.customer)))
            assert (row.ready_at is not None) == waits, "a lane sleeps on what waits, or is idle"


def _but_crashes(rows: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Every row, without how many workers are said to have died of it."""
    return {
        name: [{**row._mapping, "crashes": None} for row in found] for name, found in rows.items()
    }


@pytest.mark.timeout(600)  # what it finds, it shortens for up to five minutes
def test_the_store_keeps_its_promises_whatever_happens_in_whatever_order(timed, clock):
    class Ours(Store):
        def __init__(self) -> None:
            super().__init__(timed, clock)

    examples = 60 if timed.engine.dialect.name == "sqlite" else 15
    run_state_machine_as_test(
        Ours,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
