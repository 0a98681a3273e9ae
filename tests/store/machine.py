"""What the store should hold, as the machine of `tests/store/test_machine.py` expects it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from destination.model.arrival import Arrival
from destination.model.delivery import Delivery, Discard, Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.reason import HoldReason
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store.queue.rate_limit import Terms

#: Seconds, and failures in a row.
LEASE, PROBE, BREAKER_PROBE, FAILURES = 60.0, 30.0, 8.0, 3
TERMS = Terms(lease=LEASE, hold_probe=PROBE, breaker_failures=FAILURES, breaker_probe=BREAKER_PROBE)

#: (destination, customer)
Lane = tuple[str, str]

#: The destinations, each with its rate limit: one is sent a request each four seconds at most.
RATES = {"rehook": None, "reward": 0.25}
DESTINATIONS = list(RATES)
CUSTOMERS = ["ada", "bob"]
OPEN = {Status.PENDING, Status.SENDING}

#: The status by which an engine says so; none where its answer is lost.
ANSWERS = {
    Verdict.DELIVERED: 200,
    Verdict.RETRY: 503,
    Verdict.REJECTED: 400,
    Verdict.HOLD: 401,
}

#: What these say of the engine as a whole: it works, or it is down; nothing where it objects.
WORKS, DOWN = {200, 400, 401}, {503, None}


@dataclass(eq=False)
class Expected:
    """What the store should hold of one delivery."""

    message: str
    status: Status = Status.PENDING
    attempts: int = 0
    #: How many workers in a row died of it; below zero where one lives whose death is not written
    #: down yet.
    crashes: int = 0
    #: The attempts under which it is written that the worker died.
    deaths: set[int] = field(default_factory=set)
    #: Its row, once the engine has taken it: from then on nothing may change in it.
    frozen: Any = None

    def answered(self, lease: Lease) -> None:
        """Its lease came to an end: whether a worker lived to see it is counted."""
        if lease.interrupted:
            self.crashes += 1
            self.deaths.add(lease.attempt_id)
        else:
            self.crashes = 0

    def answered_late(self, lease: Lease) -> None:
        """A worker that was taken for dead lives."""
        if lease.interrupted or self.status not in OPEN:
            return
        known = lease.attempt_id in self.deaths and self.crashes > 0
        same = self.status is Status.SENDING and lease.attempts == self.attempts
        self.crashes -= known or (same and self.crashes >= 0)


@dataclass(frozen=True)
class Taken:
    """A claim, as the machine remembers it."""

    lease: Lease
    lane: Lane
    expected: Expected
    #: When its lease ends, by the clock.
    ends: float


class Standing:
    """Where a destination should stand, for all workers together."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        #: How often in a row it failed as a whole.
        self.failures = 0
        #: Why it is on hold, and when it may be probed; None: not on hold, not before somebody
        #: resumes it.
        self.reason: str | None = None
        self.probe_at: float | None = None
        #: When it was sent the last request.
        self.sent_at = -math.inf

    @property
    def by_hand(self) -> bool:
        return self.reason == HoldReason.BY_HAND

    def hold(self, reason: str, probe_at: float | None) -> None:
        """A hold by hand stays as it is."""
        if not self.by_hand:
            self.reason, self.probe_at = reason, probe_at

    def resume(self) -> None:
        self.reason = self.probe_at = None
        self.failures = 0

    def probe_at_once(self, now: float) -> None:
        if self.reason and not self.by_hand:
            self.probe_at = now

    def learn(self, acks: Sequence[Acknowledgement], now: float) -> None:
        """What settlements of one turn, in their order, tell of it."""
        was_held = self.reason
        answers = [one.exchange.status for one in acks if not one.lease.interrupted]
        for answer in answers:
            self.failures = self.failures + 1 if answer in DOWN else 0
        probes = [one.exchange.status for one in acks if one.lease.probe]
        if any(one.verdict is Verdict.HOLD for one in acks):
            self.hold("x", now + PROBE)
        elif not was_held and self.failures >= FAILURES:
            self.hold(HoldReason.BREAKER, now + BREAKER_PROBE)
        elif any(answer in WORKS for answer in probes) and not self.by_hand:
            self.reason = self.probe_at = None
        elif probes and was_held and not self.by_hand:
            self.probe_at = now + (BREAKER_PROBE if self.reason == HoldReason.BREAKER else PROBE)

    def most(self, limit: int, now: float) -> int:
        """How many of `limit` may be claimed."""
        if self.rate and now < self.sent_at + 1 / self.rate:
            return 0
        if self.reason:
            return int(self.probe_at is not None and self.probe_at <= now)
        if self.failures:  # no more under way than opens the breaker
            limit = min(limit, max(1, FAILURES - self.failures))
        return min(limit, 1) if self.rate else limit

    def took(self, leases: Sequence[Lease], now: float) -> None:
        """A turn's claims."""
        assert all(lease.probe == bool(self.reason) for lease in leases)
        if self.reason and leases:
            self.probe_at = now + LEASE  # one probe at a time
        if any(not lease.interrupted for lease in leases):
            self.sent_at = now


def check_that_every_try_is_written_down(deliveries: list[Any], attempts: list[Any]) -> None:
    for delivery in deliveries:
        mine = [row for row in attempts if row.delivery_id == delivery.id]
        assert sorted(row.number for row in mine) == list(range(1, delivery.attempts + 1))
        unended = [row.number for row in mine if row.ended_at is None]
        under_way = delivery.status == Status.SENDING.value
        assert unended == ([delivery.attempts] if under_way else [])


def an_arrival(message: str, destination: str, customer: str, *, dropped: bool) -> Arrival:
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


def a_settlement(lease: Lease, verdict: Verdict, status: Status, wait: float) -> Acknowledgement:
    answer = None if lease.interrupted else ANSWERS.get(verdict)
    lost = Trouble.WORKER_DIED if lease.interrupted else Trouble.TIMEOUT
    trouble = None if answer else lost
    exchange = Exchange(method="POST", url="http://engine/x", status=answer, trouble=trouble)
    return Acknowledgement(
        lease=lease,
        exchange=exchange,
        verdict=verdict,
        status=status,
        reason=None if verdict is Verdict.DELIVERED else "x",
        wait=wait if verdict is Verdict.RETRY else 0.0,
        step=lease.step + (status is Status.PENDING and verdict is Verdict.DELIVERED),
    )
