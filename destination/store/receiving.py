"""Taking calls in: the event, its dedupe, its discards and its deliveries in one transaction."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from destination.database import Database, tried_again
from destination.deliveries import Delivery, Discard, Status
from destination.routing import Arrival
from destination.store import schema


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a call."""

    message_id: str
    #: accepted, duplicate or discarded.
    outcome: str
    reason: str | None = None
    detail: str | None = None


#: (source, message id): the same call twice is one call.
Key = tuple[str, str]


@tried_again
def accept(database: Database, arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Keep all of `arrivals`, or nothing; one outcome each, in their order.

    A call that is here already changes nothing and is told what became of it the first time.
    Raises StoreUnavailable.
    """
    with database.writing() as connection:
        now = connection.execute(sa.select(database.now)).scalar_one()
        new = _insert_events(database, connection, arrivals, now)
        routed = _claim_codes(database, connection, [arrivals[i] for i in new.values()], now)
        ids = list(new)
        _insert_deliveries(database, connection, dict(zip(ids, routed, strict=True)), now)
        outcomes = {i: _outcome(arrival) for i, arrival in zip(new.values(), routed, strict=True)}
        duplicates = [i for i in range(len(arrivals)) if i not in outcomes]
        outcomes.update(_first_outcomes(connection, arrivals, duplicates))
    return [outcomes[i] for i in range(len(arrivals))]


@tried_again
def accept_again(
    database: Database, event_id: int, discard_id: int, results: Sequence[Delivery | Discard]
) -> Delivery | Discard | None:
    """Put what routing makes of a kept event now in the place of its discard.

    Returns the first of what is kept: a referral code may be taken meanwhile. None where somebody
    else was faster. Raises StoreUnavailable.
    """
    made = tuple(result for result in results if isinstance(result, Delivery))
    dropped = tuple(result for result in results if isinstance(result, Discard))
    arrival = Arrival(source="", message_id="", call="", deliveries=made, discards=dropped)
    with database.writing() as connection:
        now = connection.execute(sa.select(database.now)).scalar_one()
        gone = connection.execute(
            sa.delete(schema.discard).where(schema.discard.c.id == discard_id)
        )
        if not gone.rowcount:
            return None
        [routed] = _claim_codes(database, connection, [arrival], now)
        _insert_deliveries(database, connection, {event_id: routed}, now)
    return routed.deliveries[0] if routed.deliveries else routed.discards[0]


def _insert_events(
    database: Database, connection: sa.Connection, arrivals: Sequence[Arrival], now: float
) -> dict[int, int]:
    """The events that were not here yet: event id → index in `arrivals`, in their order."""
    first: dict[Key, int] = {}
    for i, arrival in enumerate(arrivals):
        first.setdefault((arrival.source, arrival.message_id), i)
    table = schema.event
    insert = database.insert(table).on_conflict_do_nothing()
    rows = connection.execute(
        insert.returning(table.c.id, table.c.source, table.c.message_id),
        [
            {
                "source": arrivals[i].source,
                "message_id": arrivals[i].message_id,
                "type": arrivals[i].type,
                "name": arrivals[i].name,
                "user_id": arrivals[i].user_id,
                "timestamp": arrivals[i].timestamp,
                "received_at": now,
                "call": arrivals[i].call,
            }
            for i in first.values()
        ],
    )
    found = {first[row.source, row.message_id]: row.id for row in rows}
    return {found[i]: i for i in sorted(found)}


def _claim_codes(
    database: Database, connection: sa.Connection, arrivals: Sequence[Arrival], now: float
) -> list[Arrival]:
    """The same arrivals; a delivery whose referral code is somebody else's became a discard."""
    claims = {
        (delivery.destination, digest(delivery.code)): delivery.customer
        for arrival in reversed(arrivals)  # so that the first of a batch stays
        for delivery in reversed(arrival.deliveries)
        if delivery.code
    }
    if not claims:
        return list(arrivals)
    table = schema.referral_code
    connection.execute(
        database.insert(table).on_conflict_do_nothing(),
        [
            {"destination": destination, "code": code, "customer": customer, "since": now}
            for (destination, code), customer in sorted(claims.items())
        ],
    )
    codes = [code for _, code in claims]
    owners = {
        (row.destination, row.code): row.customer
        for row in connection.execute(sa.select(table).where(table.c.code.in_(codes)))
    }
    return [_without_taken(arrival, owners) for arrival in arrivals]


def _without_taken(arrival: Arrival, owners: dict[tuple[str, str], str]) -> Arrival:
    taken = [
        delivery
        for delivery in arrival.deliveries
        if delivery.code
        and owners[delivery.destination, digest(delivery.code)] != delivery.customer
    ]
    if not taken:
        return arrival
    discards = tuple(
        Discard(
            reason="referral_code_taken",
            detail="The referral code belongs to another customer, who brought it first.",
            mapping=delivery.mapping,
            destination=delivery.destination,
        )
        for delivery in taken
    )
    return replace(
        arrival,
        deliveries=tuple(d for d in arrival.deliveries if d not in taken),
        discards=arrival.discards + discards,
    )


def _insert_deliveries(
    database: Database, connection: sa.Connection, routed: dict[int, Arrival], now: float
) -> None:
    lanes = {(d.destination, d.customer) for arrival in routed.values() for d in arrival.deliveries}
    lane_ids = _open_lanes(database, connection, lanes, now)
    deliveries = [
        {
            "event_id": event_id,
            "lane_id": lane_ids[d.destination, d.customer],
            "destination": d.destination,
            "mapping": d.mapping,
            "action": d.action,
            "payload": d.payload,
            "mapping_set": d.mapping_set,
            "status": Status.PENDING.value,
            "step": 0,
            "attempts": 0,
            "created_at": now,
        }
        for event_id, arrival in routed.items()
        for d in arrival.deliveries
    ]
    if deliveries:
        connection.execute(schema.delivery.insert(), deliveries)
        if database.wake:
            connection.exec_driver_sql(database.wake)
    notices = [
        {
            **vars(d.notice),
            "event_id": event_id,
            "destination": d.destination,
            "mapping": d.mapping,
        }
        for event_id, arrival in routed.items()
        for d in arrival.deliveries
        if d.notice
    ]
    if notices:
        connection.execute(schema.notice.insert(), notices)
    discards = [
        {"event_id": event_id, "at": now, **vars(d)}
        for event_id, arrival in routed.items()
        for d in arrival.discards
    ]
    if discards:
        connection.execute(schema.discard.insert(), discards)


def _open_lanes(
    database: Database,
    connection: sa.Connection,
    lanes: Collection[tuple[str, str]],
    now: float,
) -> dict[tuple[str, str], int]:
    """The lanes' ids, made where they are new, and ready where nothing waited in them."""
    if not lanes:
        return {}
    table = schema.lane
    insert = database.insert(table)
    upsert = insert.on_conflict_do_update(
        index_elements=["destination", "customer"],
        # A lane that waits or is under way keeps its time.
        set_={"ready_at": sa.func.coalesce(table.c.ready_at, insert.excluded.ready_at)},
    )
    rows = connection.execute(
        upsert.returning(table.c.id, table.c.destination, table.c.customer),
        [
            # sorted: two receivers that open the same lanes must not wait for each other
            {"destination": destination, "customer": customer, "ready_at": now}
            for destination, customer in sorted(lanes)
        ],
    )
    return {(row.destination, row.customer): row.id for row in rows}


def _first_outcomes(
    connection: sa.Connection, arrivals: Sequence[Arrival], duplicates: Sequence[int]
) -> dict[int, Outcome]:
    """For each index of a call that was here already: a duplicate, with its first reason."""
    if not duplicates:
        return {}
    event, discard, delivery = schema.event, schema.discard, schema.delivery
    delivered = sa.exists().where(delivery.c.event_id == event.c.id)
    rows = connection.execute(
        sa.select(event.c.source, event.c.message_id, discard.c.reason, discard.c.detail)
        .join(discard, discard.c.event_id == event.c.id)
        .where(event.c.message_id.in_([arrivals[i].message_id for i in duplicates]), ~delivered)
        .order_by(discard.c.id.desc())
    )
    discarded: dict[Key, Any] = {(row.source, row.message_id): row for row in rows}
    outcomes = {}
    for i in duplicates:
        row = discarded.get((arrivals[i].source, arrivals[i].message_id))
        outcomes[i] = Outcome(
            message_id=arrivals[i].message_id,
            outcome="duplicate",
            reason=row.reason if row else None,
            detail=row.detail if row else None,
        )
    return outcomes


def _outcome(arrival: Arrival) -> Outcome:
    if arrival.deliveries:
        return Outcome(message_id=arrival.message_id, outcome="accepted")
    discard = arrival.discards[0]
    return Outcome(
        message_id=arrival.message_id,
        outcome="discarded",
        reason=discard.reason,
        detail=discard.detail,
    )


def digest(code: str) -> str:
    """Under what the register keeps a referral code."""
    return hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()
