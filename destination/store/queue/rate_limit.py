"""How fast a destination may be sent to, by all workers together: holds, breaker, rate limit.

All of it is decided in the database, in the transaction of a poll: every worker, on whatever
machine, knows of a change by its next poll.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from destination.store import schema
from destination.store.database import Database

#: Seconds' worth of a rate limit that may leave at once; the rest is spread evenly.
_BURST = 0.1


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a worker could send to one destination now."""

    destination: str
    #: How many more deliveries.
    room: int
    #: How many it has under way, and how many of those are bulk.
    busy: int = 0
    bulk: int = 0
    #: Whether it could send bulk now.
    takes_bulk: bool = True
    #: Whether it could send a suspect now: it sends none.
    takes_suspect: bool = True
    #: The part of the capacity that bulk may have while anything else waits or is under way. While
    #: nothing else does, this part is kept free for what may come.
    share: float = 0.2
    #: Requests a second, of all workers together; None: no limit.
    rate: float | None = None
    #: How many may be under way at once, of all workers together; None: no limit.
    most: int | None = None

    def bulk_room(self, *, beside: bool) -> int:
        """How many more may be bulk, `beside` other deliveries or alone; one always may."""
        if not self.takes_bulk:
            return 0
        part = self.share if beside else 1.0 - self.share
        return max(1, math.floor((self.room + self.busy) * part)) - self.bulk


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms a worker leases. Times in seconds."""

    #: How long a lane is the worker's own.
    lease: float = 60.0
    #: Between the probes of a destination that refuses our credentials.
    hold_probe: float = 60.0
    #: Failures in a row, of a destination as a whole, on which its breaker opens; 0: never.
    breaker_failures: int = 10
    #: Between the probes of an open breaker.
    breaker_probe: float = 5.0


@dataclass(frozen=True, kw_only=True)
class DestinationState:
    """What all workers together know of a destination."""

    #: How often in a row it has failed as a whole.
    failures: int
    held: bool
    #: When a held one may be probed; None: it is held by hand.
    probe_at: float | None
    #: When its next lane is ready, and its next bulk lane; None where nothing waits.
    next_at: float | None
    next_bulk_at: float | None
    #: The requests sent so far use up the rate limit until this moment (GCRA).
    free_at: float


_now = sa.bindparam("now", type_=sa.Double)
_lane = schema.lane.c
_NEXT_AT, _NEXT_BULK_AT = (
    sa.select(sa.func.min(_lane.ready_at))
    .where(
        _lane.destination == schema.pace.c.destination,
        _lane.bulk == bulk,
        _lane.ready_at.is_not(None),
    )
    .scalar_subquery()
    for bulk in (sa.false(), sa.true())
)
_STATES = (
    sa.select(
        schema.pace,
        schema.hold.c.reason,
        schema.hold.c.probe_at,
        _NEXT_AT.label("next_at"),
        _NEXT_BULK_AT.label("next_bulk_at"),
    )
    .select_from(
        schema.pace.outerjoin(schema.hold, schema.hold.c.destination == schema.pace.c.destination)
    )
    .where(schema.pace.c.destination.in_(sa.bindparam("names", expanding=True)))
)
_FREE_AT = (
    sa.select(schema.pace.c.free_at)
    .where(schema.pace.c.destination == sa.bindparam("name"))
    .with_for_update()  # until the commit, no other worker spends it, or leases
)
_UNDER_WAY = sa.select(sa.func.count()).where(
    _lane.destination == sa.bindparam("name"),
    _lane.owner.is_not(None),
    _lane.ready_at > _now,  # or the worker that had it is dead
)
_SPEND = (
    sa.update(schema.pace)
    .where(schema.pace.c.destination == sa.bindparam("name"))
    .values(
        free_at=sa.case((schema.pace.c.free_at < _now, _now), else_=schema.pace.c.free_at)
        + sa.bindparam("seconds", type_=sa.Double)
    )
)
_PROBE = (
    sa.update(schema.hold)
    .where(
        schema.hold.c.destination == sa.bindparam("name"),
        schema.hold.c.probe_at <= _now,
    )
    .values(probe_at=sa.bindparam("next_probe"))
)


_RETURN_PROBE = (
    sa.update(schema.hold)
    .where(schema.hold.c.destination == sa.bindparam("name"), schema.hold.c.probe_at.is_not(None))
    .values(probe_at=sa.bindparam("unused"))
)


def register(database: Database, destinations: Sequence[str]) -> list[str]:
    """Make destinations known, before any of their lanes is leased. Returns those that are on hold.

    A hold is probed at once: a worker that starts may bring corrected credentials. Raises
    StoreUnavailable.
    """
    rows = [{"destination": name} for name in sorted(destinations)]
    held = schema.hold.c.destination.in_(destinations)
    with database.writing() as connection:
        connection.execute(database.insert(schema.pace).on_conflict_do_nothing(), rows)
        probed = sa.update(schema.hold).where(held, schema.hold.c.probe_at.is_not(None))
        connection.execute(probed.values(probe_at=database.now))
        return list(connection.execute(sa.select(schema.hold.c.destination).where(held)).scalars())


def states(connection: sa.Connection, destinations: Collection[str]) -> dict[str, DestinationState]:
    """The state of each destination, by name."""
    if not destinations:
        return {}
    return {
        row.destination: DestinationState(
            failures=row.failures,
            held=row.reason is not None,
            probe_at=row.probe_at,
            next_at=row.next_at,
            next_bulk_at=row.next_bulk_at,
            free_at=row.free_at,
        )
        for row in connection.execute(_STATES, {"names": sorted(destinations)})
    }


def rest(state: DestinationState, wanted: Capacity, now: float) -> float:
    """Seconds until something may be leased; infinite where nothing waits."""
    if state.held and state.probe_at is None:
        return math.inf
    bulk = wanted.bulk_room(beside=wanted.busy > wanted.bulk) > 0
    waiting = [state.next_at, state.next_bulk_at if bulk else None]
    begins = min((moment for moment in waiting if moment is not None), default=math.inf)
    begins = max(begins, state.probe_at or 0.0)
    if wanted.rate:
        begins = max(begins, state.free_at + 1.0 / wanted.rate - _burst(wanted.rate))
    return max(0.0, begins - now)


def is_ready(next_at: float | None, now: float) -> bool:
    """Whether the next lane is ready by now; None: there is none."""
    return next_at is not None and next_at <= now


def allowance(
    connection: sa.Connection, state: DestinationState, wanted: Capacity, terms: Terms, now: float
) -> int:
    """How many deliveries may be leased; for a held destination at most one, as a probe."""
    if state.held:
        next_probe = now + terms.lease  # one probe at a time
        probe = {"name": wanted.destination, "now": now, "next_probe": next_probe}
        return connection.execute(_PROBE, probe).rowcount
    count = wanted.room
    if state.failures and terms.breaker_failures:
        # While it fails, no more are under way than it takes to open the breaker, but at least one.
        allowed = max(1, terms.breaker_failures - state.failures)
        count = min(count, allowed - wanted.busy)
    if wanted.rate and count > 0:
        free_at = connection.execute(_FREE_AT, {"name": wanted.destination}).scalar_one()
        seconds = _burst(wanted.rate) - max(0.0, free_at - now)
        count = min(count, math.floor(seconds * wanted.rate + 1e-6))
    if wanted.most and count > 0:
        name = {"name": wanted.destination}
        connection.execute(_FREE_AT, name)  # locks: no other worker leases meanwhile
        under_way = connection.execute(_UNDER_WAY, {**name, "now": now}).scalar_one()
        count = min(count, wanted.most - under_way)
    return max(count, 0)


def return_probe(connection: sa.Connection, wanted: Capacity, state: DestinationState) -> None:
    """Allow the probe again that `allowance` has just given: there was nothing to send."""
    unused = {"name": wanted.destination, "unused": state.probe_at}
    connection.execute(_RETURN_PROBE, unused)


def spend(connection: sa.Connection, wanted: Capacity, count: int, now: float) -> None:
    """Take `count` requests off a rate limit."""
    if wanted.rate:
        spent = {"name": wanted.destination, "now": now, "seconds": count / wanted.rate}
        connection.execute(_SPEND, spent)


def _burst(rate: float) -> float:
    """Seconds' worth of requests that may leave at once; of a slow limit, one request."""
    return max(_BURST, 1.0 / rate)
