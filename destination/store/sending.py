"""Sending: a worker claims what is ready, and settles what it has sent.

A claim writes down the attempt before its request leaves and leases the lane; what a worker leaves
behind when it dies is claimed again after the lease, as interrupted. A settlement names its claim:
a worker that wakes up late changes nothing.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from destination.database import Database
from destination.deliveries import Exchange, Status, Verdict
from destination.store import schema
from destination.store.receiving import digest


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One delivery that a worker may send now."""

    delivery_id: int
    attempt_id: int
    lane_id: int
    #: Names this claim; settling it says the token again.
    token: str
    destination: str
    action: str
    payload: str
    #: How many of its requests have been answered.
    step: int
    #: How many attempts there have been, with this one.
    attempts: int
    #: When it was claimed, and first tried, by the database's clock.
    claimed_at: float
    first_attempt_at: float
    #: The worker that held it died: its request may have left. It is judged, not sent.
    interrupted: bool
    #: Sent to see whether a held destination is well again.
    probe: bool


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What became of a claim."""

    claim: Claim
    exchange: Exchange
    verdict: Verdict
    #: Where the delivery stands from now on.
    status: Status
    reason: str | None = None
    #: Seconds until its lane may send again.
    wait: float = 0.0
    #: How many of its requests have been answered by now.
    step: int = 0
    #: A referral code that turned out to be somebody else's.
    lost_code: str | None = None


def settle_and_claim(
    database: Database,
    settlements: Sequence[Settlement],
    wanted: Mapping[str, int],
    *,
    lease: float,
    probe_every: float,
) -> list[Claim]:
    """Settle what was sent and claim what may be sent next, in one transaction.

    `wanted`: how many deliveries to claim at most, by destination. `lease` and `probe_every` in
    seconds. Raises StoreUnavailable; then nothing was settled and nothing claimed.
    """
    with database.writing() as connection:
        now = connection.execute(sa.select(database.now)).scalar_one()
        if settlements:
            _settle(database, connection, settlements, now, probe_every)
        claims: list[Claim] = []
        for destination, limit in wanted.items():
            claims += _claim(connection, destination, limit, now, lease, probe_every)
    return claims


def probe_now(database: Database) -> list[str]:
    """Let the destinations on hold be probed at once: a worker starts, perhaps with what was
    put right. Their names. Raises StoreUnavailable.
    """
    with database.writing() as connection:
        connection.execute(sa.update(schema.hold).values(probe_at=database.now))
        return list(connection.execute(sa.select(schema.hold.c.destination)).scalars())


def ready(database: Database, destinations: Sequence[str]) -> bool:
    """Whether any lane is ready: a look that takes no lock."""
    table = schema.lane
    condition = table.c.destination.in_(destinations) & (table.c.ready_at <= database.now)
    with database.reading() as connection:
        return (
            connection.execute(sa.select(table.c.id).where(condition).limit(1)).first() is not None
        )


def _claim(
    connection: sa.Connection,
    destination: str,
    limit: int,
    now: float,
    lease: float,
    probe_every: float,
) -> list[Claim]:
    probe = _probe(connection, destination, now, probe_every)
    if probe is None:
        return []
    token = uuid.uuid4().hex
    lanes = _lease(connection, destination, 1 if probe else limit, now, lease, token)
    heads = _heads(connection, lanes)
    fresh = [head for head in heads if head.status == Status.PENDING.value]
    attempts = _begin(connection, fresh, now)
    return [
        Claim(
            delivery_id=head.id,
            attempt_id=attempts.get(head.id) or head.attempt_id,
            lane_id=head.lane_id,
            token=token,
            destination=destination,
            action=head.action,
            payload=head.payload,
            step=head.step,
            attempts=head.attempts + (head.id in attempts),
            claimed_at=now,
            first_attempt_at=head.first_attempt_at or now,
            interrupted=head.id not in attempts,
            probe=probe,
        )
        for head in heads
    ]


def _probe(
    connection: sa.Connection, destination: str, now: float, probe_every: float
) -> bool | None:
    """Whether a held destination is to be probed; None when it is to be left alone."""
    table = schema.hold
    held = connection.execute(sa.select(table).where(table.c.destination == destination)).first()
    if held is None:
        return False
    due = connection.execute(
        sa.update(table)
        .where(table.c.destination == destination, table.c.probe_at <= now)  # one prober
        .values(probe_at=now + probe_every)
    )
    return True if due.rowcount else None


def _lease(
    connection: sa.Connection, destination: str, limit: int, now: float, lease: float, token: str
) -> list[int]:
    """Take up to `limit` lanes that are ready, the longest ready first."""
    table = schema.lane
    rows = connection.execute(
        sa.select(table.c.id)
        .where(table.c.destination == destination, table.c.ready_at <= now)
        .order_by(table.c.ready_at)
        .limit(limit)
        .with_for_update(skip_locked=True)  # another worker has it
    )
    lanes = [row.id for row in rows]
    if lanes:
        connection.execute(
            sa.update(table)
            .where(table.c.id.in_(lanes))
            .values(owner=token, ready_at=now + lease)  # free again by itself when it ends
        )
    return lanes


def _heads(connection: sa.Connection, lanes: Sequence[int]) -> Sequence[Any]:
    """The first waiting delivery of each lane; `attempt_id` is its last attempt's."""
    if not lanes:
        return []
    lane, delivery, attempt = schema.lane, schema.delivery, schema.attempt
    behind = delivery.alias()
    first = (
        sa.select(behind.c.id)
        .where(behind.c.lane_id == lane.c.id, schema.WAITING)
        .order_by(behind.c.id)  # someone is ahead in the lane
        .limit(1)
        .scalar_subquery()
    )
    return connection.execute(
        sa.select(delivery, attempt.c.id.label("attempt_id"))
        .select_from(lane)
        .join(delivery, delivery.c.id == first)
        .outerjoin(
            attempt,
            (attempt.c.delivery_id == delivery.c.id) & (attempt.c.number == delivery.c.attempts),
        )
        .where(lane.c.id.in_(lanes))
    ).all()


def _begin(connection: sa.Connection, heads: Sequence[Any], now: float) -> dict[int, int]:
    """Write down an attempt for each, before any request leaves: delivery id → attempt id."""
    if not heads:
        return {}
    table = schema.delivery
    connection.execute(
        sa.update(table)
        .where(table.c.id.in_([head.id for head in heads]))
        .values(
            status=Status.SENDING.value,
            attempts=table.c.attempts + 1,
            first_attempt_at=sa.func.coalesce(table.c.first_attempt_at, now),
        )
    )
    rows = connection.execute(
        schema.attempt.insert().returning(schema.attempt.c.id, schema.attempt.c.delivery_id),
        [
            {"delivery_id": head.id, "number": head.attempts + 1, "started_at": now}
            for head in heads
        ],
    )
    return {row.delivery_id: row.id for row in rows}


def _settle(
    database: Database,
    connection: sa.Connection,
    settlements: Sequence[Settlement],
    now: float,
    probe_every: float,
) -> None:
    mine = _still_mine(connection, settlements)
    if not mine:
        return
    connection.execute(_END_ATTEMPT, [_attempt_row(settlement, now) for settlement in mine])
    connection.execute(_MOVE_DELIVERY, [_delivery_row(settlement, now) for settlement in mine])
    # A statement of its own: it must see what was received while the lane was locked.
    connection.execute(_FREE_LANE, [{"lane": s.claim.lane_id, "ready": now + s.wait} for s in mine])
    for settlement in mine:
        claim = settlement.claim
        if settlement.lost_code:
            _release_code(connection, claim.destination, settlement.lost_code)
        if settlement.verdict is Verdict.HOLD:
            _hold(database, connection, settlement, now, probe_every)
        elif claim.probe and settlement.verdict in (Verdict.DELIVERED, Verdict.REJECTED):
            held = schema.hold.c.destination == claim.destination
            connection.execute(sa.delete(schema.hold).where(held))


def _still_mine(connection: sa.Connection, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Without those whose lease ended and was taken over meanwhile."""
    table = schema.lane
    rows = connection.execute(
        sa.select(table.c.id, table.c.owner)
        .where(table.c.id.in_([settlement.claim.lane_id for settlement in settlements]))
        .with_for_update()
    )
    owners = {row.id: row.owner for row in rows}
    return [s for s in settlements if owners.get(s.claim.lane_id) == s.claim.token]


def _attempt_row(settlement: Settlement, now: float) -> dict[str, Any]:
    exchange = settlement.exchange
    return {
        "attempt": settlement.claim.attempt_id,
        "ended": now,
        "verdict": settlement.verdict.value,
        "method": exchange.method,
        "url": exchange.url,
        "status": exchange.status,
        "trouble": exchange.trouble.value if exchange.trouble else None,
        "answer": exchange.answer.replace("\0", "�"),
    }


def _delivery_row(settlement: Settlement, now: float) -> dict[str, Any]:
    held = settlement.verdict is Verdict.HOLD
    return {
        "delivery": settlement.claim.delivery_id,
        "status": settlement.status.value,
        "reason": settlement.reason,
        "step": settlement.step,
        # A hold spends nothing: the retry horizon begins anew.
        "first": None if held else settlement.claim.first_attempt_at,
        "settled": None if settlement.status is Status.PENDING else now,
    }


def _release_code(connection: sa.Connection, destination: str, code: str) -> None:
    table = schema.referral_code
    connection.execute(
        sa.delete(table).where(
            table.c.destination == destination,
            table.c.code == digest(code),
        )
    )


def _hold(
    database: Database,
    connection: sa.Connection,
    settlement: Settlement,
    now: float,
    probe_every: float,
) -> None:
    values = {
        "destination": settlement.claim.destination,
        "reason": settlement.reason or "",
        "since": now,
        "probe_at": now + probe_every,
    }
    insert = database.insert(schema.hold).values(values)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["destination"], set_={"reason": insert.excluded.reason}
        )
    )


_END_ATTEMPT = (
    sa.update(schema.attempt)
    .where(schema.attempt.c.id == sa.bindparam("attempt"))
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

_MOVE_DELIVERY = (
    sa.update(schema.delivery)
    .where(schema.delivery.c.id == sa.bindparam("delivery"))
    .values(
        status=sa.bindparam("status"),
        reason=sa.bindparam("reason"),
        step=sa.bindparam("step"),
        first_attempt_at=sa.bindparam("first"),
        settled_at=sa.bindparam("settled"),
    )
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
