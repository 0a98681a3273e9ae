"""Claiming: a worker takes lanes that are ready, and the attempt is written before it is made.

What a worker leaves behind when it dies is claimed again after its lease, as interrupted.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.model.lease import Claim
from destination.model.verdict import Trouble, Verdict
from destination.store import schema
from destination.store.database import Database, OneOf
from destination.store.queue.rate_limit import Pace, Terms, Wanted, is_ready, permit, spend

_ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
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
#: What a claim tells of its delivery.
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
)
#: The first waiting delivery of each lane is under way from now on, where it was not already.
_BEGIN = (
    sa.update(schema.delivery)
    .where(
        schema.delivery.c.id.in_(sa.select(_FIRST).where(schema.lane.c.id.in_(_ids))),
        schema.delivery.c.status == Status.PENDING.value,
    )
    .values(
        status=Status.SENDING.value,
        attempts=schema.delivery.c.attempts + 1,
        first_attempt_at=sa.func.coalesce(schema.delivery.c.first_attempt_at, _now),
    )
    .returning(*_HEAD)
)
#: Those that were, each with its last attempt.
_INTERRUPTED = (
    sa.select(*_HEAD, schema.attempt.c.id.label("attempt_id"))
    .select_from(schema.lane)
    .join(schema.delivery, schema.delivery.c.id == _FIRST)
    .join(
        schema.attempt,
        (schema.attempt.c.delivery_id == schema.delivery.c.id)
        & (schema.attempt.c.number == schema.delivery.c.attempts),
    )
    .where(schema.lane.c.id.in_(_ids))
)
#: Lanes in which nothing waits: two hands sent the same delivery again, and one of them in vain.
_LET_REST = (
    sa.update(schema.lane).where(schema.lane.c.id.in_(_ids)).values(owner=None, ready_at=None)
)
_WRITE_ATTEMPTS = schema.attempt.insert().returning(
    schema.attempt.c.id, schema.attempt.c.delivery_id
)
_DEATHS = [Trouble.WORKER_DIED.value, Trouble.CRASHED.value]
_ILL_ENDS = sa.select(
    schema.attempt.c.delivery_id, schema.attempt.c.trouble, schema.attempt.c.verdict
).where(
    schema.attempt.c.delivery_id.in_(_ids),
    schema.attempt.c.trouble.in_(_DEATHS) | (schema.attempt.c.verdict == Verdict.HOLD.value),
)


@cache
def _lease_ready(one_of: OneOf) -> sa.Executable:
    return (
        sa.update(schema.lane)
        .where(one_of(schema.lane.c.id, _READY))
        .values(owner=sa.bindparam("token"), ready_at=sa.bindparam("until"))  # free by itself then
        .returning(schema.lane.c.id)
    )


def claim(
    database: Database,
    connection: sa.Connection,
    wanted: Wanted,
    pace: Pace,
    terms: Terms,
    now: float,
) -> list[Claim]:
    """Take what a destination's pace permits, each delivery the first of its lane."""
    limit = permit(connection, pace, wanted, terms, now)
    token = uuid.uuid4().hex
    lease = {"name": wanted.destination, "now": now, "token": token, "until": now + terms.lease}
    lanes, bulk = set[int](), set[int]()
    if is_ready(pace.next_at, now):
        lanes = _lease(database, connection, {**lease, "those": False, "limit": limit})
    if is_ready(pace.next_bulk_at, now):
        beside = bool(lanes) or wanted.busy > wanted.bulk
        room = min(limit - len(lanes), wanted.bulk_room(beside=beside))
        bulk = _lease(database, connection, {**lease, "those": True, "limit": room})
        lanes |= bulk
    if not lanes:
        return []
    begun = connection.execute(_BEGIN, {"ids": sorted(lanes), "now": now}).all()
    attempts = _write_attempts(connection, begun, now)
    left = lanes - {head.lane_id for head in begun}
    interrupted = connection.execute(_INTERRUPTED, {"ids": sorted(left)}).all() if left else []
    attempts |= {head.id: head.attempt_id for head in interrupted}
    if empty := left - {head.lane_id for head in interrupted}:
        connection.execute(_LET_REST, {"ids": sorted(empty)})
    heads = sorted([*begun, *interrupted], key=lambda h: (h.lane_id in bulk, h.event_id, h.id))
    ends = _ill_ends(connection, [h.id for h in heads if h.attempts > 1 or h.lane_id in left])
    spend(connection, wanted, len(begun), now)
    return [
        Claim(
            delivery_id=head.id,
            attempt_id=attempts[head.id],
            lane_id=head.lane_id,
            token=token,
            destination=wanted.destination,
            action=head.action,
            payload=head.payload,
            step=head.step,
            attempts=head.attempts,
            created_at=head.created_at,
            claimed_at=now,
            first_attempt_at=head.first_attempt_at,
            interrupted=head.lane_id in left,
            suspect=head.lane_id in left or any(ends[head.id][death] for death in _DEATHS),
            crashes=ends[head.id][Trouble.CRASHED.value],
            refusals=ends[head.id][Verdict.HOLD.value],
            probe=pace.held,
            bulk=head.lane_id in bulk,
        )
        for head in heads
    ]


def _lease(database: Database, connection: sa.Connection, lease: dict[str, Any]) -> set[int]:
    """The lanes that were ready, up to a limit: they are the worker's own now."""
    if lease["limit"] <= 0:
        return set()
    return set(connection.execute(_lease_ready(database.one_of), lease).scalars())


def _write_attempts(connection: sa.Connection, begun: Sequence[Any], now: float) -> dict[int, int]:
    """Write down an attempt for each, before any request leaves: delivery id → attempt id."""
    if not begun:
        return {}
    rows = connection.execute(
        _WRITE_ATTEMPTS,
        [{"delivery_id": head.id, "number": head.attempts, "started_at": now} for head in begun],
    )
    return {row.delivery_id: row.id for row in rows}


def _ill_ends(connection: sa.Connection, tried: Sequence[int]) -> dict[int, Counter[str]]:
    """Of deliveries that were tried before: how often which process died with them under way, and
    how often their destination was held for them.
    """
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for row in connection.execute(_ILL_ENDS, {"ids": tried}) if tried else ():
        found[row.delivery_id][row.trouble or row.verdict] += 1
    return found
