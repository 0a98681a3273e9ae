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

_KEEP_DELIVERIES = schema.delivery.insert()
_KEEP_NOTIFICATIONS = schema.notice.insert()
_KEEP_DISCARDS = schema.discard.insert()

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
def _keep_events(insert: Insert) -> sa.Insert:
    """Those that are not here yet, which it returns."""
    event = schema.event.c
    keep = insert(schema.event).on_conflict_do_nothing()
    return keep.returning(event.id, event.source, event.message_id, event.received_at)


@cache
def _open_lanes(insert: Insert, wake: Wake | None) -> sa.Insert:
    lane = schema.lane.c
    opened = insert(schema.lane)
    opened = opened.on_conflict_do_update(
        index_elements=["destination", "customer"],
        set_={
            # A lane that waits or is under way keeps its time.
            "ready_at": sa.func.coalesce(lane.ready_at, opened.excluded.ready_at),
            # What waits behind bulk takes it along.
            "bulk": opened.excluded.bulk & (lane.bulk | lane.ready_at.is_(None)),
        },
    )
    woken = [wake(lane.bulk)] if wake else []  # in this statement: one less
    return opened.returning(lane.id, lane.destination, lane.customer, *woken)


@tried_again
def enqueue(database: Database, arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Keep all of `arrivals`, or nothing; one outcome each, in their order.

    A call that is here already changes nothing and is told what became of it the first time.
    Raises StoreUnavailable.
    """
    if not arrivals:
        return []
    with database.writing() as connection:
        trait_times = stale_traits.lock_profiles(database, connection, arrivals)
        new, now = _insert_events(database, connection, arrivals)
        context = RuleContext(database=database, connection=connection, now=now)
        routed = [(event_id, arrivals[i]) for event_id, i in new.items()]
        left = dict(insert_routed(context, decide(context, routed, trait_times)))
        confirm(connection, {event_id: arrivals[i].confirms for event_id, i in new.items()}, now)
        outcomes = {i: _outcome(left[event_id]) for event_id, i in new.items()}
        duplicates = [i for i in range(len(arrivals)) if i not in outcomes]
        outcomes.update(_first_outcomes(connection, arrivals, duplicates))
    return [outcomes[i] for i in range(len(arrivals))]


def decide(context: RuleContext, routed: Routed, trait_times: dict[Customer, Times]) -> Routed:
    """What becomes of new events in view of what was received before. `trait_times` is when their
    customers' traits were set, as `stale_traits.lock_profiles` found it. Each event is there once.
    """
    fresh = partial(without_stale, trait_times=trait_times)
    rules: tuple[Rule, ...] = (referral_codes.register, fresh, award_once.reserve)
    for rule in rules:
        routed = rule(context, routed)
    return routed


def _insert_events(
    database: Database, connection: sa.Connection, arrivals: Sequence[Arrival]
) -> tuple[dict[int, int], float]:
    """The events that were not here yet, event id → index in `arrivals`, in their order; and when
    they were received.
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
    keep = _keep_events(database.insert)
    kept = database.insert_rows(connection, keep, rows, received_at=database.now).all()
    found = {first[row.source, row.message_id]: row.id for row in kept}
    now = kept[0].received_at if kept else 0.0  # of nothing new, nothing is kept
    return {found[i]: i for i in sorted(found)}, now


def insert_routed(context: RuleContext, routed: Routed) -> Routed:
    """Queue what was decided. Returns it, but for what a newer update makes needless."""
    database, connection, now = context.database, context.connection, context.now
    lanes: dict[tuple[str, str], bool] = {}
    for _, arrival in routed:
        for d in arrival.deliveries:
            key = d.destination, d.customer
            lanes[key] = lanes.get(key, True) and d.bulk
    lane_ids = open_lanes(database, connection, lanes, now)
    routed = coalesce(context, routed, lane_ids=lane_ids)
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
        for event_id, arrival in routed
        for d in arrival.deliveries
    ]
    if deliveries:
        database.insert_rows(connection, _KEEP_DELIVERIES, deliveries)
    notifications = [
        {
            **vars(d.notification),
            "event_id": event_id,
            "destination": d.destination,
            "mapping": d.mapping,
        }
        for event_id, arrival in routed
        for d in arrival.deliveries
        if d.notification
    ]
    if notifications:
        database.insert_rows(connection, _KEEP_NOTIFICATIONS, notifications)
    discards = [
        {"event_id": event_id, "at": now, **vars(d)}
        for event_id, arrival in routed
        for d in arrival.discards
    ]
    if discards:
        database.insert_rows(connection, _KEEP_DISCARDS, discards)
    referral_codes.free_old(connection, routed)  # behind the lanes, as a worker does
    return routed


def open_lanes(
    database: Database,
    connection: sa.Connection,
    lanes: Mapping[tuple[str, str], bool],
    now: float,
) -> dict[tuple[str, str], int]:
    """The ids of `lanes` (each with whether it gets nothing but bulk), made where they are new,
    and ready where nothing waited in them; workers wake up for them. To be called before anything
    is queued in them.
    """
    if not lanes:
        return {}
    rows = database.insert_rows(
        connection,
        _open_lanes(database.insert, database.wake),
        [
            # sorted: two receivers that open the same lanes must not wait for each other
            {"destination": destination, "customer": customer, "ready_at": now, "bulk": bulk}
            for (destination, customer), bulk in sorted(lanes.items())
        ],
    )
    return {(row.destination, row.customer): row.id for row in rows}


def _first_outcomes(
    connection: sa.Connection, arrivals: Sequence[Arrival], duplicates: Sequence[int]
) -> dict[int, Receipt]:
    """For each index of a call that was here already: a duplicate, with its first reason."""
    if not duplicates:
        return {}
    rows = connection.execute(
        _FIRST_DISCARDS, {"message_ids": [arrivals[i].message_id for i in duplicates]}
    )
    discarded: dict[Key, schema.Row] = {(row.source, row.message_id): row for row in rows}
    outcomes = {}
    for i in duplicates:
        row = discarded.get((arrivals[i].source, arrivals[i].message_id))
        outcomes[i] = Receipt(
            message_id=arrivals[i].message_id,
            outcome=Outcome.DUPLICATE,
            reason=row.reason if row else None,
            detail=row.detail if row else None,
        )
    return outcomes


def _outcome(arrival: Arrival) -> Receipt:
    if arrival.deliveries:
        return Receipt(message_id=arrival.message_id, outcome=Outcome.ACCEPTED)
    discard = arrival.discards[0]
    return Receipt(
        message_id=arrival.message_id,
        outcome=Outcome.DISCARDED,
        reason=discard.reason,
        detail=discard.detail,
    )
