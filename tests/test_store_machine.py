"""The store under random operations and a clock that only the test turns: what must always be true.

Hypothesis draws operations, and looks after every one of them whether anything is broken; what it
finds it shortens to the fewest operations that break it.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from destination.database import Database
from destination.deliveries import Delivery, Discard, Exchange, Status, Trouble, Verdict
from destination.routing import Arrival
from destination.store import records, schema, sending
from destination.store.receiving import accept
from destination.store.sending import Claim, Settlement
from tests.conftest import Clock

LEASE, PROBE = 60.0, 30.0

#: (destination, customer)
Lane = tuple[str, str]

DESTINATIONS = ["rehook", "reward"]
CUSTOMERS = ["ada", "bob"]
OPEN = {Status.PENDING, Status.SENDING}


@dataclass(eq=False)
class Expected:
    """What the store should hold of one delivery."""

    message: str
    status: Status = Status.PENDING
    attempts: int = 0
    #: Its row, once the engine has taken it: from then on nothing may change in it.
    frozen: Any = None


@dataclass(frozen=True)
class Taken:
    """A claim, as the machine remembers it."""

    claim: Claim
    lane: Lane
    #: When its lease ends, by the clock.
    ends: float


class Store(RuleBasedStateMachine):
    """Receivers and workers on one database, in every order that chance finds."""

    claims = Bundle("claims")

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self.database, self.clock = database, clock
        with database.writing() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        self.known: set[str] = set()
        self.discarded: set[str] = set()
        #: The deliveries of each lane in the order in which they were accepted.
        self.lanes: dict[Lane, list[Expected]] = defaultdict(list)
        #: The claim that may settle each lane.
        self.holders: dict[Lane, Taken] = {}
        #: Before when a lane may not send, because an answer said so.
        self.not_before: dict[Lane, float] = defaultdict(float)
        self.probed: dict[str, float] = {}

    def waiting(self, lane: Lane) -> list[Expected]:
        return [found for found in self.lanes[lane] if found.status in OPEN]

    def find(self, message: str) -> Expected:
        return next(e for lane in self.lanes.values() for e in lane if e.message == message)

    def rows(self, table: sa.Table) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(table).order_by(*table.primary_key)))

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
    def arrive(self, calls: list[tuple[int, str, str, bool]]) -> None:
        """Calls arrive, some of them again; now and then one is dropped."""
        arrivals, outcomes = [], []
        for number, destination, customer, dropped in calls:
            message = f"m{number}"
            dropped &= number % 5 == 0
            arrivals.append(_arrival(message, destination, customer, dropped=dropped))
            if message in self.known:
                outcomes.append("duplicate")
                continue
            self.known.add(message)
            outcomes.append("discarded" if dropped else "accepted")
            if dropped:
                self.discarded.add(message)
            else:
                self.lanes[destination, customer].append(Expected(message))
        assert [o.outcome for o in accept(self.database, arrivals)] == outcomes

    @rule(seconds=st.sampled_from([0.5, 5.0, PROBE + 1, LEASE - 1, LEASE + 1]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(
        target=claims,
        destinations=st.sampled_from([["rehook"], ["reward"], DESTINATIONS]),
        limit=st.integers(1, 3),
    )
    def claim(self, destinations: list[str], limit: int) -> Any:
        """A worker asks for work."""
        return self._claimed((), destinations, limit)

    @rule(
        target=claims,
        taken=claims,
        verdict=st.sampled_from(Verdict),
        wait=st.sampled_from([0.0, 5.0, 1000.0]),
        more=st.booleans(),
        limit=st.integers(0, 2),
    )
    def settle(self, taken: Taken, verdict: Verdict, wait: float, more: bool, limit: int) -> Any:
        """A worker says what became of a claim, perhaps late or twice, and may ask for more."""
        status = verdict.status
        if verdict is Verdict.DELIVERED and more:
            status = Status.PENDING  # a look-up was answered: the request itself comes next
        settlement = _settlement(taken.claim, verdict, status, wait)
        if self.holders.get(taken.lane) is not taken:
            before = self._everything()
            assert self._claimed((settlement,), [], 0) == multiple()
            assert self._everything() == before, "a late settlement changed something"
            return multiple()
        del self.holders[taken.lane]
        self.not_before[taken.lane] = self.clock.now + settlement.wait
        self._delivery_of(taken.claim).status = status
        return self._claimed((settlement,), DESTINATIONS if limit else [], limit)

    def _delivery_of(self, claim: Claim) -> Expected:
        row = records.delivery(self.database, claim.delivery_id)
        assert row is not None
        return self.find(row["message_id"])

    def _claimed(
        self, settlements: tuple[Settlement, ...], destinations: list[str], limit: int
    ) -> Any:
        held = {row["destination"] for row in records.holds(self.database)}
        claims = sending.settle_and_claim(
            self.database,
            settlements,
            dict.fromkeys(destinations, limit),
            lease=LEASE,
            probe_every=PROBE,
        )
        held &= {row["destination"] for row in records.holds(self.database)}
        found = [self._took(claim) for claim in claims]
        for destination in destinations:
            mine = [taken.claim for taken in found if taken.claim.destination == destination]
            assert len(mine) <= limit
            if destination in held:
                self._check_probe(destination, mine)
            elif len(mine) < limit and not settlements:
                assert not self._ready(destination), "a lane is ready, and was not claimed"
        return multiple(*found)

    def _took(self, claim: Claim) -> Taken:
        """Check one claim: the lane is nobody else's, and its head leaves, not before its time."""
        lanes = {row.id: (row.destination, row.customer) for row in self.rows(schema.lane)}
        lane = lanes[claim.lane_id]
        holder = self.holders.get(lane)
        assert holder is None or holder.ends <= self.clock.now, "a lane has two holders"
        assert self.not_before[lane] <= self.clock.now, "it left before its time"
        head = self.waiting(lane)[0]
        assert self._delivery_of(claim) is head, "somebody was ahead in the lane"
        assert claim.interrupted == (head.status is Status.SENDING)
        head.attempts += not claim.interrupted
        assert claim.attempts == head.attempts
        head.status = Status.SENDING
        taken = self.holders[lane] = Taken(claim, lane, self.clock.now + LEASE)
        return taken

    def _check_probe(self, destination: str, claims: list[Claim]) -> None:
        assert len(claims) <= 1
        for claim in claims:
            assert claim.probe
            assert self.probed.get(destination, 0.0) + PROBE <= self.clock.now
            self.probed[destination] = self.clock.now

    def _ready(self, destination: str) -> list[Any]:
        return [
            row
            for row in self.rows(schema.lane)
            if row.destination == destination
            and row.ready_at is not None
            and row.ready_at <= self.clock.now
        ]

    @rule()
    def start_a_worker(self) -> None:
        """A worker starts, perhaps with what was put right: what is on hold is probed at once."""
        for name in sending.probe_now(self.database):
            self.probed.pop(name, None)

    @rule(number=st.integers(0, 30), status=st.sampled_from([Status.FAILED, Status.UNCERTAIN]))
    def retry_by_hand(self, number: int, status: Status) -> None:
        ids, expected = self._of(f"m{number}")
        again = records.send_again(self.database, ids=ids or [-1], status=status)
        assert again == (expected is not None and expected.status is status)
        if expected and again:
            expected.status = Status.PENDING

    @rule(number=st.integers(0, 30))
    def settle_by_hand(self, number: int) -> None:
        ids, expected = self._of(f"m{number}")
        marked = records.mark_delivered(self.database, ids=ids or [-1])
        assert marked == (expected is not None and expected.status is Status.UNCERTAIN)
        if expected and marked:
            expected.status = Status.DELIVERED

    def _of(self, message: str) -> tuple[list[int], Expected | None]:
        """A message's delivery: its id, and what is expected of it."""
        found = [row["id"] for row in records.deliveries(self.database, message_id=message)]
        return found, self.find(message) if found else None

    def _everything(self) -> list[list[Any]]:
        return [self.rows(table) for table in schema.metadata.sorted_tables]

    @invariant()
    def nothing_disappears_and_each_stands_where_it_should(self) -> None:
        assert {row.message_id for row in self.rows(schema.event)} == self.known
        found = {row["message_id"]: row for row in records.deliveries(self.database)}
        expected = [e for lane in self.lanes.values() for e in lane]
        assert {name: row["status"] for name, row in found.items()} == {
            e.message: e.status.value for e in expected
        }
        assert {row["message_id"] for row in records.discards(self.database)} == self.discarded

    @invariant()
    def what_is_delivered_never_changes(self) -> None:
        found = {row["message_id"]: row for row in records.deliveries(self.database)}
        for expected in (e for lane in self.lanes.values() for e in lane):
            if expected.status is Status.DELIVERED:
                expected.frozen = expected.frozen or found[expected.message]
                assert found[expected.message] == expected.frozen

    @invariant()
    def a_lane_has_a_time_as_long_as_something_waits_in_it(self) -> None:
        for row in self.rows(schema.lane):
            waits = bool(self.waiting((row.destination, row.customer)))
            assert (row.ready_at is not None) == waits, "a lane sleeps on what waits, or is idle"

    @invariant()
    def every_try_is_written_down(self) -> None:
        attempts = defaultdict(list)
        for row in self.rows(schema.attempt):
            attempts[row.delivery_id].append(row)
        for delivery in self.rows(schema.delivery):
            mine = attempts[delivery.id]
            assert [row.number for row in mine] == list(range(1, delivery.attempts + 1))
            under_way = [row.ended_at is None for row in mine]
            assert not any(under_way[:-1])
            assert any(under_way) == (delivery.status == Status.SENDING.value)


def _arrival(message: str, destination: str, customer: str, *, dropped: bool) -> Arrival:
    made = Delivery(
        mapping="Track Event",
        destination=destination,
        action="trackEvent",
        customer=customer,
        payload="{}",
    )
    arrival = Arrival(source="segment", message_id=message, call="{}", deliveries=(made,))
    if dropped:
        discard = Discard(reason="id_required", detail="No userId.")
        return replace(arrival, deliveries=(), discards=(discard,))
    return arrival


def _settlement(claim: Claim, verdict: Verdict, status: Status, wait: float) -> Settlement:
    exchange = Exchange(method="POST", url="http://engine/x", trouble=Trouble.TIMEOUT)
    return Settlement(
        claim=claim,
        exchange=exchange,
        verdict=verdict,
        status=status,
        reason=None if verdict is Verdict.DELIVERED else "x",
        wait=wait if verdict is Verdict.RETRY else 0.0,
        step=claim.step + (status is Status.PENDING and verdict is Verdict.DELIVERED),
    )


@pytest.mark.timeout(600)  # what it finds, it shortens for up to five minutes
def test_the_store_keeps_its_promises_whatever_happens_in_whatever_order(timed, clock):
    examples = 60 if timed.engine.dialect.name == "sqlite" else 15
    run_state_machine_as_test(
        lambda: Store(timed, clock),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
