"""Leasing: a worker takes lanes that are ready, and the attempt is written before it is made.

What a worker leaves behind when it dies is leased again once its lease has ended, as interrupted.
From then on it is suspect, and a worker has one suspect under way at a time: the others are given
back, so that the next worker that dies of one takes no other suspect with it.
"""

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.model.lease import Lease
from destination.model.verdict import Verdict
from destination.store import schema
from destination.store.database import Database, OneOf
from destination.store.queue.rate_limit import (
    Capacity,
    DestinationState,
    Terms,
    allowance,
    is_ready,
    return_probe,
    spend,
)

#: Suspects that are given back are ready again at some moment within so many seconds: one after
#: the other, so that most find that no other is under way.
_GIVEN_BACK = 2.0

_ids: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_now = sa.bindparam("now", type_=sa.Double)

#: Lanes that are ready, the longest ready first.
_READY = (
    sa.select(schema.lane.c.id)
    .where(
        schema.lane.c.destination == sa.bindparam("name"),
        schema.lane.c.bulk == sa.bindparam("those"),
        schema.lane.c.ready_at <= _now,
    )
    .order_by(schema.lane.c.ready_at)
    .limit(sa.bindparam("limit"))
    .with_for_update(skip_locked=True)  # another worker has it
)

_behind = schema.delivery.alias("behind")
_FIRST = (
    sa.select(_behind.c.id)
    .where(_behind.c.lane_id == schema.lane.c.id, schema.WAITING)
    # Someone is ahead in the lane. A replay makes deliveries of events that came long ago.
    .order_by(_behind.c.event_id, _behind.c.id)
    .limit(1)
    .scalar_subquery()
)
#: What a lease tells of its delivery.
_HEAD = (
    schema.delivery.c.id,
    schema.delivery.c.event_id,
    schema.delivery.c.lane_id,
    schema.delivery.c.action,
    schema.delivery.c.payload,
    schema.delivery.c.step,
    schema.delivery.c.attempts,
    schema.delivery.c.created_at,
    schema.delivery.c.first_attempt_at,
    schema.delivery.c.crashes,
)
_BEGIN = (
    sa.update(schema.delivery)
    .where(schema.delivery.c.status == Status.PENDING.value)
    .values(
        status=Status.SENDING.value,
        attempts=schema.delivery.c.attempts + 1,
        first_attempt_at=sa.func.coalesce(schema.delivery.c.first_attempt_at, _now),
    )
    .returning(*_HEAD)
)
#: The first waiting delivery of each lane is under way from now on, where it was not already and
#: is no suspect.
_BEGIN_FIRST = _BEGIN.where(
    schema.delivery.c.id.in_(sa.select(_FIRST).where(schema.lane.c.id.in_(_ids))),
    schema.delivery.c.crashes <= 0,
)
_BEGIN_SUSPECT = _BEGIN.where(schema.delivery.c.id == sa.bindparam("suspect"))
#: The deliveries that were under way already, and the suspects; each with its last attempt.
_NOT_BEGUN = (
    sa.select(*_HEAD, schema.delivery.c.status, schema.attempt.c.id.label("attempt_id"))
    .select_from(schema.lane)
    .join(schema.delivery, schema.delivery.c.id == _FIRST)
    .join(
        schema.attempt,
        (schema.attempt.c.delivery_id == schema.delivery.c.id)
        & (schema.attempt.c.number == schema.delivery.c.attempts),
    )
    .where(schema.lane.c.id.in_(_ids))
)
#: Lanes in which nothing waits: two people retried the same delivery, and it left once.
_END_LEASE = (
    sa.update(schema.lane).where(schema.lane.c.id.in_(_ids)).values(owner=None, ready_at=None)
)
_GIVE_BACK = (
    sa.update(schema.lane)
    .where(schema.lane.c.id == sa.bindparam("lane"))
    .values(owner=None, ready_at=sa.bindparam("ready", type_=sa.Double))
)
_WRITE_ATTEMPTS = schema.attempt.insert().returning(
    schema.attempt.c.id, schema.attempt.c.delivery_id
)
_REFUSALS = sa.select(schema.attempt.c.delivery_id).where(
    schema.attempt.c.delivery_id.in_(_ids), schema.attempt.c.verdict == Verdict.HOLD.value
)


@cache
def _lease_lanes(one_of: OneOf) -> sa.Executable:
    return (
        sa.update(schema.lane)
        .where(one_of(schema.lane.c.id, _READY))
        .values(owner=sa.bindparam("token"), ready_at=sa.bindparam("until"))  # free by itself then
        .returning(schema.lane.c.id)
    )


def lease_ready(
    database: Database,
    connection: sa.Connection,
    wanted: Capacity,
    state: DestinationState,
    terms: Terms,
    now: float,
) -> list[Lease]:
    """Lease what a destination's limits allow: of each lane that is ready, the first delivery."""
    token = uuid.uuid4().hex
    lanes, bulk = _ready_lanes(database, connection, wanted, state, terms, now, token)
    if not lanes:
        return []
    begun = connection.execute(_BEGIN_FIRST, {"ids": sorted(lanes), "now": now}).all()
    not_begun = _find_not_begun(connection, lanes - {row.lane_id for row in begun})
    suspects = [row for row in not_begun if row.status == Status.PENDING.value]
    begun = [*begun, *_begin_one(connection, suspects, now, takes=wanted.takes_suspect)]
    left = [row for row in not_begun if row.status == Status.SENDING.value]
    interrupted = {row.id: row.attempt_id for row in left}
    attempts = interrupted | _write_attempts(connection, begun, now)
    rows = sorted([*begun, *left], key=lambda r: (r.lane_id in bulk, r.event_id, r.id))
    refusals = _past_refusals(connection, [row.id for row in rows if row.attempts > 1])
    spend(connection, wanted, len(begun), now)
    if state.held and not rows:
        return_probe(connection, wanted, state)
    return [
        Lease(
            delivery_id=row.id,
            attempt_id=attempts[row.id],
            lane_id=row.lane_id,
            token=token,
            destination=wanted.destination,
            action=row.action,
            payload=row.payload,
            step=row.step,
            attempts=row.attempts,
            created_at=row.created_at,
            leased_at=now,
            first_attempt_at=row.first_attempt_at,
            interrupted=row.id in interrupted,
            crashes=row.crashes,
            refusals=refusals[row.id],
            probe=state.held,
            bulk=row.lane_id in bulk,
        )
        for row in rows
    ]


def _ready_lanes(
    database: Database,
    connection: sa.Connection,
    wanted: Capacity,
    state: DestinationState,
    terms: Terms,
    now: float,
    token: str,
) -> tuple[set[int], set[int]]:
    """The lanes that are the worker's own from now on, and those of them that hold only bulk."""

    def lease(limit: int, *, bulk: bool) -> set[int]:
        values = {
            "name": wanted.destination,
            "token": token,
            "now": now,
            "until": now + terms.lease,
        }
        values |= {"those": bulk, "limit": limit}
        found = connection.execute(_lease_lanes(database.one_of), values) if limit > 0 else None
        return set(found.scalars()) if found else set()

    limit = allowance(connection, state, wanted, terms, now)
    others = lease(limit, bulk=False) if is_ready(state.next_at, now) else set()
    if not is_ready(state.next_bulk_at, now):
        return others, set()
    room = wanted.bulk_room(beside=bool(others) or wanted.busy > wanted.bulk)
    bulk = lease(min(limit - len(others), room), bulk=True)
    return others | bulk, bulk


def _write_attempts(
    connection: sa.Connection, begun: Sequence[schema.Row], now: float
) -> dict[int, int]:
    """Write down an attempt for each, before any request leaves: delivery id → attempt id."""
    if not begun:
        return {}
    rows = connection.execute(
        _WRITE_ATTEMPTS,
        [{"delivery_id": row.id, "number": row.attempts, "started_at": now} for row in begun],
    )
    return {row.delivery_id: row.id for row in rows}


def _find_not_begun(connection: sa.Connection, lanes: set[int]) -> Sequence[schema.Row]:
    """The deliveries of `lanes` that a worker left behind, and the suspects; a lane with none is
    let go.
    """
    if not lanes:
        return []
    rows = connection.execute(_NOT_BEGUN, {"ids": sorted(lanes)}).all()
    if empty := lanes - {row.lane_id for row in rows}:
        connection.execute(_END_LEASE, {"ids": sorted(empty)})
    return rows


def _begin_one(
    connection: sa.Connection, suspects: Sequence[schema.Row], now: float, *, takes: bool
) -> Sequence[schema.Row]:
    """Begin the first of the suspects, where the worker `takes` one, and give the others back."""
    others = suspects[1:] if takes else suspects
    if others:
        moments = [now + random.uniform(0.0, _GIVEN_BACK) for _ in others]  # noqa: S311 - no secret
        back = [{"lane": row.lane_id, "ready": at} for row, at in zip(others, moments, strict=True)]
        connection.execute(_GIVE_BACK, back)
    if not (suspects and takes):
        return []
    return connection.execute(_BEGIN_SUSPECT, {"suspect": suspects[0].id, "now": now}).all()


def _past_refusals(connection: sa.Connection, deliveries: Sequence[int]) -> Counter[int]:
    """Of deliveries that were tried before: how often their destination was held for them."""
    found = connection.execute(_REFUSALS, {"ids": deliveries}).scalars() if deliveries else ()
    return Counter(found)
