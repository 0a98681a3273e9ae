"""Retrying: what failed or is uncertain is sent again as it was made, or a person resolves it.

One thing is left out of it: traits that newer events have set meanwhile. They would be set back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import sqlalchemy as sa

from destination.model.arrival import Arrival
from destination.model.delivery import Delivery, Status
from destination.model.reason import DeliveredReason, FailureReason
from destination.partners.base.destination import Destination
from destination.routing.route import traits_of
from destination.store import schema
from destination.store.database import Database, tried_again
from destination.store.queue.enqueue import open_lanes
from destination.store.rules import RuleContext
from destination.store.rules.stale_traits import lock_profiles, moment, without_stale
from destination.support import json_codec

#: The columns of a delivery that goes on its way again, as if it had never been tried.
UNTRIED = {
    "status": Status.PENDING.value,
    "reason": None,
    "step": 0,
    "first_attempt_at": None,
    "settled_at": None,
}

_delivery, _lane, _event = schema.delivery, schema.lane, schema.event
_IN_STATUS = (
    _delivery.c.id.in_(sa.bindparam("ids", expanding=True)),
    _delivery.c.status == sa.bindparam("in_status"),
    _delivery.c.reason.is_distinct_from(FailureReason.ALREADY_AWARDED.value),
)
_FIND = (
    sa.select(_delivery, _lane.c.customer, _event.c.timestamp, _event.c.received_at)
    .select_from(_delivery.join(_lane).join(_event))
    .where(*_IN_STATUS)
)
_MAKE_PENDING = sa.update(_delivery).where(*_IN_STATUS).values(UNTRIED).returning(_delivery.c.id)
_MARK_STALE = sa.update(_delivery).where(*_IN_STATUS).values(reason=FailureReason.STALE.value)
_SET_PAYLOAD = (
    sa.update(_delivery)
    .where(_delivery.c.id == sa.bindparam("delivery_id"))
    .values(payload=sa.bindparam("new_payload"))
)


@tried_again
def send_again(
    database: Database,
    ids: Sequence[int],
    status: Status,
    *,
    destinations: Mapping[str, Destination],
    bulk: bool = False,
    commit: bool = True,
) -> set[int]:
    """Put deliveries that have this `status` back to their places in their lanes, without traits
    that something newer has set. Returns the ids of those that are sent.

    `destinations`: those whose actions say which fields are traits. Deliveries to others are sent
    whole. A delivery of which nothing is left stays where it is, as stale. So does one whose award
    another delivery has made. Raises StoreUnavailable.
    """
    with database.writing() as connection:
        now = database.read_clock(connection)
        rows = connection.execute(_FIND, {"ids": ids, "in_status": status.value}).all()
        payloads = _without_stale(database, connection, rows, destinations, now)
        stale = [row.id for row in rows if row.id not in payloads]
        lanes = {(row.destination, row.customer): bulk for row in rows if row.id in payloads}
        open_lanes(database, connection, lanes, now)
        moved = connection.execute(
            _MAKE_PENDING, {"ids": list(payloads), "in_status": status.value}
        )
        sent = set(moved.scalars())
        shorter = [
            {"delivery_id": row.id, "new_payload": payloads[row.id]}
            for row in rows
            if row.id in sent and payloads[row.id] != row.payload
        ]
        if shorter:
            connection.execute(_SET_PAYLOAD, shorter)
        if stale:
            connection.execute(_MARK_STALE, {"ids": stale, "in_status": status.value})
        if not commit:
            connection.rollback()
    return sent


def mark_delivered(database: Database, ids: Sequence[int]) -> set[int]:
    """Resolve uncertain deliveries as delivered, because a person has looked. Returns the ids of
    those that were uncertain.
    """
    table = schema.delivery
    with database.writing() as connection:
        marked = connection.execute(
            sa.update(table)
            .where(table.c.id.in_(ids), table.c.status == Status.UNCERTAIN.value)
            .values(
                status=Status.DELIVERED.value,
                reason=DeliveredReason.SETTLED_BY_HAND,
                settled_at=database.now,
            )
            .returning(table.c.id)
        )
        return set(marked.scalars())


def _without_stale(
    database: Database,
    connection: sa.Connection,
    rows: Sequence[schema.Row],
    destinations: Mapping[str, Destination],
    now: float,
) -> dict[int, str]:
    """The payloads of deliveries without their stale traits, by id. A delivery of which nothing is
    left is not there.
    """
    made: dict[int, Arrival] = {}
    for row in rows:
        arrival = made.get(row.event_id) or Arrival(
            source="", message_id="", call="", timestamp=moment(row.timestamp, row.received_at)
        )
        delivery = _as_made(row, destinations)
        made[row.event_id] = replace(arrival, deliveries=(*arrival.deliveries, delivery))
    trait_times = lock_profiles(database, connection, made.values())
    context = RuleContext(database=database, connection=connection, now=now)
    fresh = without_stale(context, list(made.items()), trait_times=trait_times)
    payloads = {
        (event_id, delivery.destination, delivery.mapping): delivery.payload
        for event_id, arrival in fresh
        for delivery in arrival.deliveries
    }
    places = {row.id: (row.event_id, row.destination, row.mapping) for row in rows}
    return {number: payloads[place] for number, place in places.items() if place in payloads}


def _as_made(row: schema.Row, destinations: Mapping[str, Destination]) -> Delivery:
    """A delivery as routing made it, as far as its traits are concerned."""
    destination = destinations.get(row.destination)
    action = destination.actions.get(row.action) if destination else None
    payload = json_codec.load_object(row.payload) if action and action.traits else {}
    return Delivery(
        mapping=row.mapping,
        destination=row.destination,
        action=row.action,
        customer=row.customer,
        payload=row.payload,
        code=cast(str | None, payload.get(action.code)) if action and action.code else None,
        code_field=action.code if action else None,
        traits=traits_of(action, payload) if action else (),
    )
