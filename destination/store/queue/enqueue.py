"""Enqueuing: an event, its dedupe, its discards and its deliveries go in in one transaction."""

from collections.abc import Mapping, Sequence
from functools import cache, partial

import sqlalchemy as sa

from destination.model.arrival import Arrival, Outcome, Receipt
from destination.model.delivery import Status
from destination.store import schema
from destination.store.database import Database, Insert, Wake, tried_again
from destination.store.rules import (
    Routed,
    Rule,
    RuleContext,
    award_once,
    referral_codes,
    stale_traits,
)
from destination.store.rules.coalesce import coalesce
from destination.store.rules.confirm import confirm
from destination.store.rules.stale_traits import Customer, Times, without_stale

#: (source, message id): the same call twice is one call.
Key = tuple[str, str]

_INSERT_DELIVERIES = schema.delivery.insert()
_INSERT_NOTIFICATIONS = schema.notice.insert()
_INSERT_DISCARDS = schema.discard.insert()

#: Why calls that are here already made no delivery, the newest reason first.
_FIRST_DISCARDS = (
    sa.select(
        schema.event.c.source,
        schema.event.c.message_id,
        schema.discard.c.reason,
        schema.discard.c.detail,
    )
    .join(schema.discard, schema.discard.c.event_id == schema.event.c.id)
    .where(
        schema.event.c.message_id.in_(sa.bindparam("message_ids", expanding=True)),
        ~sa.exists().where(schema.delivery.c.event_id == schema.event.c.id),
    )
    .order_by(schema.discard.c.id.desc())
)


@cache
def _insert_new_events(insert: Insert) -> sa.Insert:
    """Inserts and returns the events that are not here yet."""
    event = schema.event.c
    new = insert(schema.event).on_conflict_do_nothing()
    return new.returning(event.id, event.source, event.message_id, event.received_at)


@cache
def _open_lanes(insert: Insert, wake: Wake | None) -> sa.Insert:
    lane = schema.lane.c
    opened = insert(schema.lane)
    opened = opened.on_conflict_do_update(
        index_elements=["destination", "customer"],
        set_={
            # A lane that waits or is under way keeps its time.
            "ready_at": sa.func.coalesce(lane.ready_at, opened.excluded.ready_at),
            # Anything that is not bulk makes its whole lane non-bulk, since order is kept.
            "bulk": opened.excluded.bulk & (lane.bulk | lane.ready_at.is_(None)),
        },
    )
    woken = [wake(lane.bulk)] if wake else []  # in this statement: one less
    return opened.returning(lane.id, lane.destination, lane.customer, *woken)


@tried_again
def enqueue(database: Database, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Keep all of `arrivals`, or nothing. Returns a receipt for each, in their order.

    A call that is here already changes nothing; its receipt says what became of it the first time.
    Raises StoreUnavailable.
    """
    if not arrivals:
        return []
    with database.writing() as connection:
        trait_times = stale_traits.lock_profiles(database, connection, arrivals)
        new, now = _insert_events(database, connection, arrivals)
        context = RuleContext(database=database, connection=connection, now=now)
        routed = [(event_id, arrivals[i]) for event_id, i in new.items()]
        stored = dict(insert_routed(context, decide(context, routed, trait_times)))
        confirm(connection, {event_id: arrivals[i].confirms for event_id, i in new.items()}, now)
        receipts = {i: _receipt(stored[event_id]) for event_id, i in new.items()}
        duplicates = [i for i in range(len(arrivals)) if i not in receipts]
        receipts.update(_duplicate_receipts(connection, arrivals, duplicates))
    return [receipts[i] for i in range(len(arrivals))]


def decide(context: RuleContext, routed: Routed, trait_times: dict[Customer, Times]) -> Routed:
    """Let the rules decide what becomes of new events, each of which is there once. `trait_times`
    says when their customers' traits were set, as `stale_traits.lock_profiles` returns it.
    """
    fresh = partial(without_stale, trait_times=trait_times)
    rules: tuple[Rule, ...] = (referral_codes.register, fresh, award_once.reserve)
    for rule in rules:
        routed = rule(context, routed)
    return routed


def _insert_events(
    database: Database, connection: sa.Connection, arrivals: Sequence[Arrival]
) -> tuple[dict[int, int], float]:
    """Insert the events that were not here yet. Returns event id → index in `arrivals`, in their
    order, and when they were received.
    """
    first: dict[Key, int] = {}
    for i, arrival in enumerate(arrivals):
        first.setdefault((arrival.source, arrival.message_id), i)
    rows = [
        {
            "source": arrivals[i].source,
            "message_id": arrivals[i].message_id,
            "type": arrivals[i].type,
            "name": arrivals[i].name,
            "user_id": arrivals[i].user_id,
            "timestamp": arrivals[i].timestamp,
            "call": arrivals[i].call,
        }
        for i in first.values()
    ]
    insert = _insert_new_events(database.insert)
    new = database.insert_rows(connection, insert, rows, received_at=database.now).all()
    event_ids = {first[row.source, row.message_id]: row.id for row in new}
    now = new[0].received_at if new else 0.0  # without new events, nothing is stamped with it
    return {event_ids[i]: i for i in sorted(event_ids)}, now


def insert_routed(context: RuleContext, routed: Routed) -> Routed:
    """Insert deliveries, notifications and discards. Returns the events as stored, after
    coalescing.
    """
    database, connection, now = context.database, context.connection, context.now
    lane_ids = open_lanes(database, connection, _only_bulk(routed), now)
    routed = coalesce(context, routed, lane_ids=lane_ids)
    for insert, rows in (
        (_INSERT_DELIVERIES, _delivery_rows(routed, lane_ids, now)),
        (_INSERT_NOTIFICATIONS, _notification_rows(routed)),
        (_INSERT_DISCARDS, _discard_rows(routed, now)),
    ):
        if rows:
            database.insert_rows(connection, insert, rows)
    referral_codes.free_old(connection, routed)  # behind the lanes, as a worker does
    return routed


def _only_bulk(routed: Routed) -> dict[Customer, bool]:
    """The lanes of new deliveries, each with whether it gets nothing but bulk."""
    lanes: dict[Customer, bool] = {}
    for _, arrival in routed:
        for delivery in arrival.deliveries:
            lane = delivery.destination, delivery.customer
            lanes[lane] = lanes.get(lane, True) and delivery.bulk
    return lanes


def _delivery_rows(
    routed: Routed, lane_ids: Mapping[Customer, int], now: float
) -> list[dict[str, object]]:
    return [
        {
            "event_id": event_id,
            "lane_id": lane_ids[delivery.destination, delivery.customer],
            "destination": delivery.destination,
            "mapping": delivery.mapping,
            "action": delivery.action,
            "payload": delivery.payload,
            "mapping_set": delivery.mapping_set,
            "status": Status.PENDING.value,
            "step": 0,
            "attempts": 0,
            "created_at": now,
        }
        for event_id, arrival in routed
        for delivery in arrival.deliveries
    ]


def _notification_rows(routed: Routed) -> list[dict[str, object]]:
    return [
        {
            "id": delivery.notification.id,
            "request_id": delivery.notification.request_id,
            "ref_id": delivery.notification.ref_id,
            "name": delivery.notification.name,
            "event_id": event_id,
            "destination": delivery.destination,
            "mapping": delivery.mapping,
        }
        for event_id, arrival in routed
        for delivery in arrival.deliveries
        if delivery.notification
    ]


def _discard_rows(routed: Routed, now: float) -> list[dict[str, object]]:
    return [
        {
            "event_id": event_id,
            "destination": discard.destination,
            "mapping": discard.mapping,
            "reason": discard.reason,
            "detail": discard.detail,
            "at": now,
        }
        for event_id, arrival in routed
        for discard in arrival.discards
    ]


def open_lanes(
    database: Database,
    connection: sa.Connection,
    lanes: Mapping[Customer, bool],
    now: float,
) -> dict[Customer, int]:
    """Create missing lanes, make empty ones ready, wake workers. Call before inserting deliveries.

    `lanes` maps (destination, customer) to whether it gets nothing but bulk. Returns their ids.
    """
    if not lanes:
        return {}
    rows = database.insert_rows(
        connection,
        _open_lanes(database.insert, database.wake),
        [
            # Fixed lock order: prevents deadlocks.
            {"destination": destination, "customer": customer, "ready_at": now, "bulk": bulk}
            for (destination, customer), bulk in sorted(lanes.items())
        ],
    )
    return {(row.destination, row.customer): row.id for row in rows}


def _duplicate_receipts(
    connection: sa.Connection, arrivals: Sequence[Arrival], duplicates: Sequence[int]
) -> dict[int, Receipt]:
    """By the index of each call that was here already: that it is a duplicate, and why it made no
    delivery the first time.
    """
    if not duplicates:
        return {}
    rows = connection.execute(
        _FIRST_DISCARDS, {"message_ids": [arrivals[i].message_id for i in duplicates]}
    )
    discarded: dict[Key, schema.Row] = {(row.source, row.message_id): row for row in rows}
    receipts = {}
    for i in duplicates:
        row = discarded.get((arrivals[i].source, arrivals[i].message_id))
        receipts[i] = Receipt(
            message_id=arrivals[i].message_id,
            outcome=Outcome.DUPLICATE,
            reason=row.reason if row else None,
            detail=row.detail if row else None,
        )
    return receipts


def _receipt(arrival: Arrival) -> Receipt:
    if arrival.deliveries:
        return Receipt(message_id=arrival.message_id, outcome=Outcome.ACCEPTED)
    discard = arrival.discards[0]
    return Receipt(
        message_id=arrival.message_id,
        outcome=Outcome.DISCARDED,
        reason=discard.reason,
        detail=discard.detail,
    )
