"""Claiming: a worker takes lanes that are ready, and the attempt is written before it is made.

What a worker leaves behind when it dies is claimed again after its lease, as interrupted.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from destination.deliveries import Status, Trouble
from destination.store import schema
from destination.store.claims import Claim
from destination.store.paces import Pace, Terms, Wanted, permit, spend

_ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_now = sa.bindparam("now", type_=sa.Double)

#: Lanes that are ready, the longest ready first.
_READY = (
    sa.select(schema.lane.c.id)
    .where(
        schema.lane.c.destination == sa.bindparam("destination"),
        schema.lane.c.bulk == sa.bindparam("bulk"),
        schema.lane.c.ready_at <= _now,
    )
    .order_by(schema.lane.c.ready_at)
    .limit(sa.bindparam("limit"))
    .with_for_update(skip_locked=True)  # another worker has it
)
_LEASE = (
    sa.update(schema.lane)
    .where(schema.lane.c.id.in_(_ids))
    .values(owner=sa.bindparam("token"), ready_at=sa.bindparam("until"))  # free by itself then
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
#: The first waiting delivery of each lane; `attempt_id` is its last attempt's.
_HEADS = (
    sa.select(schema.delivery, schema.attempt.c.id.label("attempt_id"))
    .select_from(schema.lane)
    .join(schema.delivery, schema.delivery.c.id == _FIRST)
    .outerjoin(
        schema.attempt,
        (schema.attempt.c.delivery_id == schema.delivery.c.id)
        & (schema.attempt.c.number == schema.delivery.c.attempts),
    )
    .where(schema.lane.c.id.in_(_ids))
)
_BEGIN = (
    sa.update(schema.delivery)
    .where(schema.delivery.c.id.in_(_ids))
    .values(
        status=Status.SENDING.value,
        attempts=schema.delivery.c.attempts + 1,
        first_attempt_at=sa.func.coalesce(schema.delivery.c.first_attempt_at, _now),
    )
)
_WRITE_ATTEMPTS = schema.attempt.insert().returning(
    schema.attempt.c.id, schema.attempt.c.delivery_id
)
_DEATHS = sa.select(schema.attempt.c.delivery_id, schema.attempt.c.trouble).where(
    schema.attempt.c.delivery_id.in_(_ids),
    schema.attempt.c.trouble.in_([Trouble.WORKER_DIED.value, Trouble.CRASHED.value]),
)


def claim(
    connection: sa.Connection, wanted: Wanted, pace: Pace, terms: Terms, now: float
) -> list[Claim]:
    """Take what a destination's pace permits, each delivery the first of its lane."""
    limit = permit(connection, pace, wanted, terms, now)
    ready = {"destination": wanted.destination, "now": now}
    lanes = _ready(connection, {**ready, "bulk": False, "limit": limit})
    beside = bool(lanes) or wanted.busy > wanted.bulk
    room = min(limit - len(lanes), wanted.bulk_room(beside=beside))
    bulk = _ready(connection, {**ready, "bulk": True, "limit": room})
    lanes += bulk
    if not lanes:
        return []
    token = uuid.uuid4().hex
    connection.execute(_LEASE, {"ids": lanes, "token": token, "until": now + terms.lease})
    heads = sorted(
        connection.execute(_HEADS, {"ids": lanes}), key=lambda head: lanes.index(head.lane_id)
    )
    attempts = _begin(connection, [h for h in heads if h.status == Status.PENDING.value], now)
    deaths = _deaths(connection, [head.id for head in heads if head.attempts])
    spend(connection, wanted, len(attempts), now)
    return [
        Claim(
            delivery_id=head.id,
            attempt_id=attempts.get(head.id) or head.attempt_id,
            lane_id=head.lane_id,
            token=token,
            destination=wanted.destination,
            action=head.action,
            payload=head.payload,
            step=head.step,
            attempts=head.attempts + (head.id in attempts),
            created_at=head.created_at,
            claimed_at=now,
            first_attempt_at=head.first_attempt_at or now,
            interrupted=head.id not in attempts,
            suspect=head.id not in attempts or head.id in deaths,
            crashes=deaths[head.id].count(Trouble.CRASHED.value),
            probe=pace.held,
            bulk=head.lane_id in bulk,
        )
        for head in heads
    ]


def _ready(connection: sa.Connection, wanted: dict[str, Any]) -> list[int]:
    return list(connection.execute(_READY, wanted).scalars()) if wanted["limit"] > 0 else []


def _begin(connection: sa.Connection, heads: Sequence[Any], now: float) -> dict[int, int]:
    """Write down an attempt for each, before any request leaves: delivery id → attempt id."""
    if not heads:
        return {}
    connection.execute(_BEGIN, {"ids": [head.id for head in heads], "now": now})
    rows = connection.execute(
        _WRITE_ATTEMPTS,
        [
            {"delivery_id": head.id, "number": head.attempts + 1, "started_at": now}
            for head in heads
        ],
    )
    return {row.delivery_id: row.id for row in rows}


def _deaths(connection: sa.Connection, tried: Sequence[int]) -> dict[int, list[str]]:
    """Of deliveries that were tried before: how processes died with them under way."""
    found: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(_DEATHS, {"ids": tried}) if tried else ():
        found[row.delivery_id].append(row.trouble)
    return found
