"""Replaying: kept events run again, in batches that each stand alone.

What is to be replayed is looked up once, in the order in which the events arrived. Each batch is a
transaction of its own, and passes over what another process has changed meanwhile. So a replay can
be killed and run again: what is on its way already is not found a second time.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import sqlalchemy as sa

from destination.errors import Refused
from destination.model.arrival import Arrival, CountedOutcome, Outcome
from destination.model.delivery import Delivery, Discard, Status
from destination.model.event import Event, read_event
from destination.model.reason import REFUSALS, DiscardReason
from destination.routing.route import Routes, route, route_again
from destination.store import schema
from destination.store.database import Database, tried_again
from destination.store.queries.filters import Condition, Filter
from destination.store.queue.enqueue import decide, insert_routed, open_lanes
from destination.store.replay import quarantine
from destination.store.replay.quarantine import Try
from destination.store.replay.retry import UNTRIED, send_again
from destination.store.rules import RuleContext
from destination.store.rules.stale_traits import lock_profiles, moment
from destination.support import json_codec

#: How many are replayed in one transaction: few enough that nobody waits for it.
BATCH = 100

#: Another process has changed it since it was looked up.
PASSED_OVER = CountedOutcome("passed over", "changed meanwhile")

#: Each of three tries took the process down.
GIVEN_UP = CountedOutcome(Outcome.DISCARDED, DiscardReason.QUARANTINED)


class Kind(Enum):
    """What can be replayed, and how."""

    FAILED = "failed"  # deliveries: their events run again, by the mappings as they are now
    DISCARDED = "discarded"  # discards: the same
    QUARANTINED = "quarantined"  # discards that a mapping broke on: the same
    UNCERTAIN = "uncertain"  # deliveries: the same payload again, so that it can be recognised


def find(database: Database, kind: Kind, chosen: Filter) -> Sequence[int]:
    """The ids of what there is of a kind, by the order in which the events arrived."""
    if kind is Kind.QUARANTINED:
        chosen = replace(chosen, reason=DiscardReason.MAPPING_FAILED)
    if kind in (Kind.DISCARDED, Kind.QUARANTINED):
        return _ids(database, schema.discard, chosen.discards())
    return find_deliveries(database, replace(chosen, status=Status(kind.value)))


def find_deliveries(database: Database, chosen: Filter) -> Sequence[int]:
    """The ids of deliveries, by the order in which their events arrived."""
    return _ids(database, schema.delivery, chosen.deliveries())


def replay(
    database: Database, kind: Kind, ids: Sequence[int], routes: Routes, *, commit: bool = True
) -> list[CountedOutcome]:
    """One batch of a replay: what became of each of `ids`, in their order. With `commit=False` it
    is done and rolled back, so that a dry run counts what a real one would.

    Raises StoreUnavailable; then nothing was done.
    """
    if kind is Kind.UNCERTAIN:
        destinations = routes.clocked
        sent = send_again(
            database, ids, Status.UNCERTAIN, destinations=destinations, bulk=True, commit=commit
        )
        accepted = CountedOutcome(Outcome.ACCEPTED)
        return [accepted if number in sent else PASSED_OVER for number in ids]
    rows = _rows(database, kind, ids)
    if commit and len(rows) > 1 and any(row.reason == DiscardReason.MAPPING_FAILED for row in rows):
        # One at a time, so that a crash counts against the event that caused it.
        return [result for number in ids for result in replay(database, kind, [number], routes)]
    given_up = _count_tries(database, rows) if commit else set()
    reruns = {row.id: _run(kind, row, routes) for row in rows if row.id not in given_up}
    kept = _put(
        database, kind, [rerun for rerun in reruns.values() if rerun.changes], commit=commit
    )
    results = dict.fromkeys(given_up, GIVEN_UP)
    results |= {number: _result(kind, rerun, kept.get(number)) for number, rerun in reruns.items()}
    return [results.get(number, PASSED_OVER) for number in ids]


@dataclass(frozen=True, kw_only=True)
class _Rerun:
    """What routing makes now of a kept event, to take the place of what it made then."""

    #: The id of the discard, or of the failed delivery, whose place it takes.
    place: int
    event_id: int
    made: Arrival
    #: Whether it differs from what it made then.
    changes: bool


def _run(kind: Kind, row: schema.Row, routes: Routes) -> _Rerun:
    """Route a kept event again: by the mapping that the row names, or by all."""
    results: list[Delivery | Discard]
    try:
        event = _read_kept(row, routes.max_event_bytes)
        if row.mapping:
            results = route_again(event, routes, mapping=row.mapping, destination=row.destination)
        else:
            results = route(event, routes)
    except Refused as refused:
        results = [Discard(reason=refused.reason, detail=refused.detail)]
    deliveries = tuple(
        replace(result, bulk=True) for result in results if isinstance(result, Delivery)
    )
    discards = tuple(result for result in results if isinstance(result, Discard))
    stays = len(results) == 1 and [discard.reason for discard in discards] == [row.reason]
    return _Rerun(
        place=row.id,
        event_id=row.event_id,
        made=Arrival(
            source=row.source,
            message_id=row.message_id,
            call=row.call,
            timestamp=moment(row.timestamp, row.received_at),
            deliveries=deliveries,
            discards=discards,
        ),
        # Only a delivery takes the place of a failed delivery. A quarantined event gets a new
        # discard even for the same reason: its tries are counted anew when one has ended.
        changes=bool(deliveries)
        if kind is Kind.FAILED
        else row.reason == DiscardReason.MAPPING_FAILED or not stays,
    )


def _read_kept(row: schema.Row, max_bytes: int) -> Event:
    """The event of a row. Raises Refused for one that was kept though it could not be taken."""
    try:
        call = json_codec.loads(row.call)
    except ValueError as error:
        raise Refused("bad_request", "The call is not JSON.") from error
    # A call that was once taken was small enough, even if the setting allows less now.
    refused = row.reason in REFUSALS
    return read_event(
        call,
        source=row.source,
        max_bytes=max_bytes if refused else 2**31,
        received_at=row.received_at,
    )


@tried_again
def _put(
    database: Database, kind: Kind, reruns: Sequence[_Rerun], *, commit: bool
) -> dict[int, Arrival]:
    """Put all of `reruns` in their places, or nothing. Returns place → what the rules left of it:
    a referral code may be another customer's by now. Those whose place is gone are left out.
    """
    with database.writing() as connection:
        now = database.read_clock(connection)
        context = RuleContext(database=database, connection=connection, now=now)
        places = _lock_places(connection, kind, [rerun.place for rerun in reruns])
        placed = [rerun for rerun in reruns if rerun.place in places]
        decided = []
        for group in _each_event_once(placed):
            trait_times = lock_profiles(database, connection, [rerun.made for rerun in group])
            made = dict(
                decide(context, [(each.event_id, each.made) for each in group], trait_times)
            )
            decided += [(rerun, made[rerun.event_id]) for rerun in group]
        if kind is Kind.FAILED:
            renewed = {rerun.place: d for rerun, kept in decided for d in kept.deliveries}
            _renew(database, connection, renewed, now)
        else:
            again = [(rerun.event_id, kept) for rerun, kept in decided]
            queued = insert_routed(context, again)
            decided = [(rerun, kept) for (rerun, _), (_, kept) in zip(decided, queued, strict=True)]
        if not commit:
            connection.rollback()
    return {rerun.place: kept for rerun, kept in decided}


def _count_tries(database: Database, rows: Sequence[schema.Row]) -> set[int]:
    """Count a try of each quarantined event among `rows`. Returns those that had too many."""
    tried = [row.id for row in rows if row.reason == DiscardReason.MAPPING_FAILED]
    return {number for number in tried if quarantine.begin(database, number) is Try.GIVEN_UP}


def _each_event_once(reruns: Sequence[_Rerun]) -> Iterator[list[_Rerun]]:
    """The reruns in groups with each event once: two mappings may have made two of one event."""
    while reruns:
        first = {rerun.event_id: rerun for rerun in reversed(reruns)}
        yield list(first.values())
        reruns = [rerun for rerun in reruns if first[rerun.event_id] is not rerun]


def _lock_places(connection: sa.Connection, kind: Kind, places: Sequence[int]) -> set[int]:
    """Lock failed deliveries; delete discards. Returns the places that were still there."""
    if kind is Kind.FAILED:
        table = schema.delivery
        chosen = sa.select(table.c.id).where(
            table.c.id.in_(places), table.c.status == Status.FAILED.value
        )
        return set(connection.execute(chosen.order_by(table.c.id).with_for_update()).scalars())
    gone = sa.delete(schema.discard).where(schema.discard.c.id.in_(places))
    return set(connection.execute(gone.returning(schema.discard.c.id)).scalars())


def _renew(
    database: Database, connection: sa.Connection, renewed: dict[int, Delivery], now: float
) -> None:
    """Give failed deliveries what their events make now; they keep their places in the lane."""
    if not renewed:
        return
    lanes = {(delivery.destination, delivery.customer): True for delivery in renewed.values()}
    lane_ids = open_lanes(database, connection, lanes, now)
    table = schema.delivery
    connection.execute(
        sa.update(table).where(table.c.id == sa.bindparam("delivery_id")),
        [
            {
                "delivery_id": delivery_id,
                "lane_id": lane_ids[delivery.destination, delivery.customer],
                "action": delivery.action,
                "payload": delivery.payload,
                "mapping_set": delivery.mapping_set,
                # The award row holds the same time; it finds this delivery by it.
                "created_at": now,
                **UNTRIED,
            }
            for delivery_id, delivery in renewed.items()
        ],
    )


def _result(kind: Kind, rerun: _Rerun, kept: Arrival | None) -> CountedOutcome:
    if rerun.changes and kept is None:
        return PASSED_OVER
    made = kept or rerun.made
    if made.deliveries:
        return CountedOutcome(Outcome.ACCEPTED)
    outcome = "failed" if kind is Kind.FAILED else Outcome.DISCARDED
    return CountedOutcome(outcome, made.discards[0].reason)


def _ids(database: Database, table: sa.Table, conditions: Sequence[Condition]) -> Sequence[int]:
    query = sa.select(table.c.id).where(*conditions).order_by(table.c.event_id, table.c.id)
    with database.reading() as connection:
        return array("q", connection.execute(query).scalars())


def _rows(database: Database, kind: Kind, ids: Sequence[int]) -> Sequence[schema.Row]:
    """The failed deliveries, or the discards, that are still there, each with its event."""
    event = schema.event
    table = schema.delivery if kind is Kind.FAILED else schema.discard
    query = sa.select(
        table.c.id,
        table.c.event_id,
        table.c.destination,
        table.c.mapping,
        table.c.reason,
        event.c.source,
        event.c.message_id,
        event.c.call,
        event.c.timestamp,
        event.c.received_at,
    ).join_from(table, event)
    if kind is Kind.FAILED:
        query = query.where(schema.delivery.c.status == Status.FAILED.value)
    with database.reading() as connection:
        return connection.execute(query.where(table.c.id.in_(ids))).all()
