"""Coalescing: of several audience updates of a customer that wait, only the newest is sent.

Engage tells of each change of an audience or a computed trait by a call of its own. While they
wait, one that sets the same traits later makes an earlier one needless: it becomes a discard.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from destination.model.arrival import Arrival
from destination.model.delivery import Delivery, Discard, Status
from destination.model.event import of_engage
from destination.model.reason import DiscardReason
from destination.store import schema
from destination.store.rules import Routed, RuleContext
from destination.support import json_codec
from destination.support.json_codec import Json

#: How many deliveries of a lane are looked at, from its end: so that a long lane costs no more.
LOOK_BACK = 20

_earlier = schema.delivery.alias("earlier")
_FARTHEST = (
    sa.select(_earlier.c.event_id)
    .where(_earlier.c.lane_id == schema.lane.c.id, schema.WAITING)
    .order_by(_earlier.c.event_id.desc(), _earlier.c.id.desc())
    .limit(1)
    .offset(LOOK_BACK)
    .scalar_subquery()
)
_LAST_OF_LANES = (
    sa.select(schema.delivery, schema.event.c.call)
    .select_from(schema.lane)
    .join(schema.delivery, schema.delivery.c.lane_id == schema.lane.c.id)
    .join(schema.event)
    .where(
        schema.lane.c.id.in_(sa.bindparam("ids", expanding=True)),
        schema.WAITING,
        schema.delivery.c.event_id > sa.func.coalesce(_FARTHEST, 0),
    )
    .order_by(schema.delivery.c.event_id, schema.delivery.c.id)
)


@dataclass(kw_only=True)
class _Place:
    """A delivery in its place in a lane: it waits there, or is about to."""

    event_id: int
    destination: str
    mapping: str
    action: str
    payload: str
    call: str
    #: Its row; None where it is about to get one.
    delivery_id: int | None = None
    #: Payload paths a new update overwrites; empty for stored deliveries and other kinds.
    sets: frozenset[str | None] = frozenset()
    #: Whether it was ever under way: then it is sent, whatever comes.
    tried: bool = False
    #: The event of the newer update that makes it needless.
    superseded_by: int | None = None


def coalesce(
    context: RuleContext, routed: Routed, *, lane_ids: Mapping[tuple[str, str], int]
) -> Routed:
    """A rule: an audience update that a newer one makes needless becomes a discard; one that waits
    already is taken out of its lane.

    The lanes, by (destination, customer), have been opened: until the commit no worker leases
    them. Stale traits are taken out already: what stands later in a lane has the newer ones.
    """
    lanes = {
        lane_ids[delivery.destination, delivery.customer]
        for _, arrival in routed
        for delivery in arrival.deliveries
        if delivery.bulk and delivery.traits
    }
    if not lanes:
        return routed
    places: dict[int, list[_Place]] = {lane: [] for lane in lanes}
    for row in context.connection.execute(_LAST_OF_LANES, {"ids": sorted(lanes)}):
        places[row.lane_id].append(_waiting(row))
    for event_id, arrival in routed:
        for delivery in arrival.deliveries:
            lane = lane_ids[delivery.destination, delivery.customer]
            if lane in lanes:
                places[lane].append(_arriving(event_id, arrival, delivery))
    needless = [place for lane in places.values() for place in _needless(lane)]
    if not needless:
        return routed
    waiting = [place for place in needless if place.delivery_id is not None]
    _take_out(context.connection, waiting, context.now)
    newer = {
        (place.event_id, place.destination, place.mapping): place.superseded_by
        for place in needless
    }
    return [
        (key, arrival.apply(partial(_discard_if_superseded, newer, key))) for key, arrival in routed
    ]


def _waiting(row: schema.Row) -> _Place:
    return _Place(
        event_id=row.event_id,
        destination=row.destination,
        mapping=row.mapping,
        action=row.action,
        payload=row.payload,
        call=row.call,
        delivery_id=row.id,
        tried=row.status != Status.PENDING.value or row.attempts > 0,
    )


def _arriving(event_id: int, arrival: Arrival, delivery: Delivery) -> _Place:
    sets: frozenset[str | None] = frozenset()
    if delivery.bulk and delivery.award is None:
        # A referral code is no trait like others: each that a customer brings is its own for good.
        sets = frozenset(delivery.traits) - {delivery.code_field}
    return _Place(
        event_id=event_id,
        destination=delivery.destination,
        mapping=delivery.mapping,
        action=delivery.action,
        payload=delivery.payload,
        call=arrival.call,
        sets=sets,
    )


def _needless(lane: list[_Place]) -> Iterator[_Place]:
    """The deliveries of a lane that later ones in it make needless."""
    lane.sort(key=lambda place: place.event_id)  # stable: those of one event keep their order
    for index, newer in enumerate(lane):
        if not newer.sets:
            continue
        says = _said(newer.payload)
        for place in reversed(lane[:index]):
            if place.action != newer.action:
                break  # an award between the two may depend on the earlier one
            if place.superseded_by or place.tried or place.event_id == newer.event_id:
                continue
            if _covers(newer.sets, says, place.payload) and of_engage(
                json_codec.load_object(place.call)
            ):
                place.superseded_by = newer.event_id
                yield place


def _covers(sets: Collection[str | None], says: Mapping[str, Json], payload: str) -> bool:
    """Whether a newer update repeats a payload: it sets its traits anew, and the rest is equal."""
    return all(
        place in says and (place in sets or says[place] == value)
        for place, value in _said(payload).items()
    )


def _said(payload: str) -> dict[str, Json]:
    """Each place of a payload with its value: `{"source_id": "u1", "metadata.tier": "gold"}`."""
    said: dict[str, Json] = {}
    for name, value in json_codec.load_object(payload).items():
        inner = value if isinstance(value, dict) and value else {}
        said |= {f"{name}.{key}": part for key, part in inner.items()} or {name: value}
    return said


def _take_out(connection: sa.Connection, places: Sequence[_Place], now: float) -> None:
    """Put discards in the place of deliveries that wait."""
    if not places:
        return
    table = schema.delivery
    connection.execute(sa.delete(table).where(table.c.id.in_([p.delivery_id for p in places])))
    connection.execute(
        schema.discard.insert(),
        [
            {
                "event_id": place.event_id,
                "destination": place.destination,
                "mapping": place.mapping,
                "reason": DiscardReason.SUPERSEDED,
                "detail": _detail(place.superseded_by),
                "at": now,
            }
            for place in places
        ],
    )


def _discard_if_superseded(
    newer: Mapping[tuple[int, str, str], int | None], event_id: int, delivery: Delivery
) -> Delivery | Discard:
    newer_id = newer.get((event_id, delivery.destination, delivery.mapping))
    if newer_id is None:
        return delivery
    return delivery.discarded(DiscardReason.SUPERSEDED, _detail(newer_id))


def _detail(newer_id: int | None) -> str:
    return f"Event {newer_id} sets all of its traits anew, and came before it was sent."
