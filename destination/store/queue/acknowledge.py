"""Acknowledging: a worker writes down what became of its leases, and the lanes go on."""

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.reason import DeliveredReason
from destination.model.verdict import Trouble, Verdict
from destination.store import schema
from destination.store.database import Database
from destination.store.rules.referral_codes import digest


@cache
def _lock_lanes(now: sa.ColumnElement[float]) -> sa.Executable:
    """Sorted as receivers sort them: none of the two waits for the other."""
    return (
        sa.select(schema.lane.c.id, schema.lane.c.owner, now.label("now"))
        .where(schema.lane.c.id.in_(sa.bindparam("ids", expanding=True)))
        .order_by(schema.lane.c.destination, schema.lane.c.customer)
        .with_for_update()
    )


#: The delivery that was leased. Where its customer was forgotten meanwhile, SQLite may have given
#: its id to another delivery, of somebody else or not sent yet.
_LEASED = (
    schema.delivery.c.id == sa.bindparam("delivery"),
    schema.delivery.c.lane_id == sa.bindparam("lane"),
    schema.delivery.c.status == Status.SENDING.value,
)

_END_ATTEMPT = (
    sa.update(schema.attempt)
    .where(
        schema.attempt.c.id == sa.bindparam("attempt"),
        schema.attempt.c.delivery_id
        == sa.select(schema.delivery.c.id).where(*_LEASED).scalar_subquery(),
    )
    .values(
        ended_at=sa.bindparam("ended"),
        verdict=sa.bindparam("verdict"),
        method=sa.bindparam("method"),
        url=sa.bindparam("url"),
        status=sa.bindparam("status"),
        trouble=sa.bindparam("trouble"),
        answer=sa.bindparam("answer"),
    )
)

_STATUS = sa.bindparam("status", type_=sa.Text)

#: Whatever became of the answer: the engine has told that it processed the request.
_CONFIRMED = schema.delivery.c.confirmed_by.is_not(None) & (Status.DELIVERED.value != _STATUS)

_MOVE_DELIVERY = (
    sa.update(schema.delivery)
    .where(*_LEASED)
    .values(
        status=sa.case((_CONFIRMED, Status.DELIVERED.value), else_=_STATUS),
        reason=sa.case(
            (_CONFIRMED, DeliveredReason.CONFIRMED.value),
            else_=sa.bindparam("reason", type_=sa.Text),
        ),
        step=sa.bindparam("step"),
        first_attempt_at=sa.bindparam("first"),
        settled_at=sa.case(
            (_CONFIRMED, sa.bindparam("now", type_=sa.Double)),
            else_=sa.bindparam("settled", type_=sa.Double),
        ),
        crashes=sa.case(
            (sa.bindparam("lived", type_=sa.Boolean), 0),
            else_=schema.delivery.c.crashes + sa.bindparam("died", type_=sa.Integer),
        ),
    )
)

#: A late result shows that the worker lives that was taken for dead. Where this is not written down
#: yet it will be: then the count is below zero for a moment.
_TAKE_BACK = (
    sa.update(schema.delivery)
    .where(
        schema.delivery.c.id == sa.bindparam("delivery"),
        schema.delivery.c.lane_id == sa.bindparam("lane"),
        schema.WAITING,
        sa.exists().where(
            schema.attempt.c.id == sa.bindparam("attempt"),
            schema.attempt.c.delivery_id == schema.delivery.c.id,
            sa.or_(
                sa.and_(
                    schema.attempt.c.trouble == Trouble.WORKER_DIED.value,
                    schema.delivery.c.crashes > 0,
                ),
                sa.and_(schema.attempt.c.ended_at.is_(None), schema.delivery.c.crashes >= 0),
            ),
        ),
    )
    .values(crashes=schema.delivery.c.crashes - 1)
)

_SOMETHING_WAITS = (
    sa.exists()
    .where(schema.delivery.c.lane_id == schema.lane.c.id, schema.WAITING)
    .correlate(schema.lane)
)

_FREE_LANE = (
    sa.update(schema.lane)
    .where(schema.lane.c.id == sa.bindparam("lane"))
    .values(
        owner=None, ready_at=sa.case((_SOMETHING_WAITS, sa.bindparam("ready", type_=sa.Double)))
    )
)

_RELEASE_CODE = sa.delete(schema.referral_code).where(
    schema.referral_code.c.destination == sa.bindparam("name"),
    schema.referral_code.c.code == sa.bindparam("lost"),
)


def acknowledge(
    database: Database, connection: sa.Connection, acks: Sequence[Acknowledgement]
) -> tuple[list[Acknowledgement], float]:
    """Write down what became of leases. Returns those that were still the worker's own, and the
    time. The others had ended, and another worker has their lanes: they change nothing, but that
    a worker which is not dead counts against no delivery.
    """
    ids = [ack.lease.lane_id for ack in acks]
    lanes = connection.execute(_lock_lanes(database.now), {"ids": ids}).all() if ids else []
    now = lanes[0].now if lanes else database.read_clock(connection)
    owners = {lane.id: lane.owner for lane in lanes}
    mine = [s for s in acks if owners.get(s.lease.lane_id) == s.lease.token]
    late = [s.lease for s in acks if owners.get(s.lease.lane_id) != s.lease.token]
    if lived := [lease for lease in late if not lease.interrupted]:
        connection.execute(_TAKE_BACK, [_lease_row(lease) for lease in lived])
    if not mine:
        return [], now
    connection.execute(_END_ATTEMPT, [_attempt_row(ack, now) for ack in mine])
    connection.execute(_MOVE_DELIVERY, [_delivery_row(ack, now) for ack in mine])
    # A statement of its own: it must see what was received while the lane was locked.
    connection.execute(_FREE_LANE, [{"lane": s.lease.lane_id, "ready": now + s.wait} for s in mine])
    for ack in mine:
        if ack.lost_code:
            code = {"name": ack.lease.destination, "lost": digest(ack.lost_code)}
            connection.execute(_RELEASE_CODE, code)
    return mine, now


def _lease_row(lease: Lease) -> dict[str, object]:
    return {
        "attempt": lease.attempt_id,
        "delivery": lease.delivery_id,
        "lane": lease.lane_id,
    }


def _attempt_row(ack: Acknowledgement, now: float) -> dict[str, object]:
    exchange = ack.exchange
    return {
        **_lease_row(ack.lease),
        "ended": now,
        "verdict": ack.verdict.value,
        "method": exchange.method,
        "url": exchange.url,
        "status": exchange.status,
        "trouble": exchange.trouble.value if exchange.trouble else None,
        "answer": exchange.answer.replace("\0", "�"),
    }


def _delivery_row(ack: Acknowledgement, now: float) -> dict[str, object]:
    held = ack.verdict is Verdict.HOLD
    return {
        "delivery": ack.lease.delivery_id,
        "lane": ack.lease.lane_id,
        "status": ack.status.value,
        "reason": ack.reason,
        "step": ack.step,
        # A hold spends nothing: the retry horizon begins anew.
        "first": None if held else ack.lease.first_attempt_at,
        "settled": None if ack.status is Status.PENDING else now,
        "now": now,
        # Where nothing was sent, nothing is learnt of it.
        "lived": ack.exchange.trouble not in (Trouble.WORKER_DIED, Trouble.LATE),
        "died": int(ack.exchange.trouble is Trouble.WORKER_DIED),
    }
