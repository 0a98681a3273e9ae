"""What is kept, for people to look at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import sqlalchemy as sa

from destination.model.arrival import Outcome
from destination.store import schema
from destination.store.database import Database
from destination.store.queries.filters import EVERYTHING, Filter
from destination.store.queries.rows import (
    DiscardRow,
    EventRow,
    HoldRow,
    ListedDelivery,
    WholeDiscard,
    WholeEvent,
)
from destination.support import json_codec

#: One delivery or attempt, with all that is known of it: column name → value.
Row = dict[str, Any]

#: SQLAlchemy does not know the types of a table's columns; `rows` says what they are.
Query: TypeAlias = "sa.Select[*tuple[object, ...]]"

#: Rows read from the database at a time: a list of a million is shown as it comes.
_PAGE = 500


def events(
    database: Database, chosen: Filter = EVERYTHING, *, limit: int | None = None
) -> Iterator[EventRow]:
    """What arrived, newest first, with its outcome and the reason of a discard. What became of
    one that is removed, since it is past its age, is not known any more.
    """
    event, delivery, discard = schema.event, schema.delivery, schema.discard
    delivered = sa.exists().where(delivery.c.event_id == event.c.id)
    reason = (
        sa.select(discard.c.reason)
        .where(discard.c.event_id == event.c.id)
        .order_by(discard.c.id)
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(
        event.c.id,
        event.c.message_id,
        event.c.source,
        event.c.type,
        event.c.name,
        event.c.received_at,
        sa.case(
            (event.c.emptied_at.is_not(None), "removed"),
            (delivered, Outcome.ACCEPTED.value),
            else_=Outcome.DISCARDED.value,
        ).label("outcome"),
        reason.label("reason"),
    )
    query = query.where(*chosen.events())
    return _rows(database, query.order_by(event.c.id.desc()).limit(limit))


def deliveries(
    database: Database, chosen: Filter = EVERYTHING, *, limit: int | None = None
) -> Iterator[ListedDelivery]:
    """Deliveries, newest first; `lane` is the customer whose deliveries leave in order, `since`
    when they came to stand where they stand.
    """
    table = schema.delivery
    since = sa.func.coalesce(table.c.settled_at, table.c.created_at)
    query = _deliveries().add_columns(since.label("since")).where(*chosen.deliveries())
    return _rows(database, query.order_by(table.c.id.desc()).limit(limit))


def discards(
    database: Database, chosen: Filter = EVERYTHING, *, limit: int | None = None
) -> Iterator[DiscardRow]:
    """Why events made no delivery, newest first."""
    query = _discards().where(*chosen.discards())
    return _rows(database, query.order_by(schema.discard.c.id.desc()).limit(limit))


def event(database: Database, event_id: int) -> WholeEvent | None:
    """One event with its call, and all that it made."""
    table = schema.event
    with database.reading() as connection:
        found = connection.execute(sa.select(table).where(table.c.id == event_id)).first()
        if found is None:
            return None
        made = connection.execute(_deliveries().where(schema.delivery.c.event_id == event_id))
        dropped = connection.execute(_discards().where(schema.discard.c.event_id == event_id))
        whole = {
            **found._mapping,
            "deliveries": [dict(row._mapping) for row in made],
            "discards": [dict(row._mapping) for row in dropped],
        }
        return cast(WholeEvent, whole)


def delivery(database: Database, delivery_id: int) -> Row | None:
    """One delivery with its payload and its event's call; its `attempt_list` is in order."""
    query = (
        _deliveries()
        .add_columns(
            schema.delivery.c.payload,
            schema.delivery.c.action,
            schema.delivery.c.mapping_set,
            schema.delivery.c.confirmed_by,
            schema.lane.c.ready_at,
            schema.event.c.call,
        )
        .where(schema.delivery.c.id == delivery_id)
    )
    attempt = schema.attempt
    with database.reading() as connection:
        found = connection.execute(query).first()
        if found is None:
            return None
        attempts = connection.execute(
            sa.select(attempt)
            .where(attempt.c.delivery_id == delivery_id)
            .order_by(attempt.c.number)
        )
        return {**found._mapping, "attempt_list": [dict(row._mapping) for row in attempts]}


def discard(database: Database, discard_id: int) -> WholeDiscard | None:
    """One discard with the call that made it."""
    query = _discards().add_columns(schema.event.c.call)
    with database.reading() as connection:
        found = connection.execute(query.where(schema.discard.c.id == discard_id)).first()
    return None if found is None else cast(WholeDiscard, dict(found._mapping))


def unsettled(database: Database, message_ids: Sequence[str]) -> int:
    """How many deliveries of these messages still wait or are under way."""
    event = schema.event
    query = (
        sa.select(sa.func.count())
        .select_from(schema.delivery.join(event))
        .where(event.c.message_id.in_(message_ids), schema.WAITING)
    )
    with database.reading() as connection:
        return int(connection.execute(query).scalar_one())


def counts(database: Database) -> dict[str, int]:
    """How many deliveries stand where: `{"pending": 3, "uncertain": 1}`."""
    table = schema.delivery
    query = sa.select(table.c.status, sa.func.count().label("number")).group_by(table.c.status)
    with database.reading() as connection:
        return {row.status: row.number for row in connection.execute(query)}


def has_events(database: Database) -> bool:
    """Whether an event is kept."""
    with database.reading() as connection:
        return bool(connection.execute(sa.select(sa.exists(sa.select(schema.event)))).scalar())


def holds(database: Database) -> list[HoldRow]:
    """The destinations that are paused, with the reason and since when."""
    return list(_rows(database, sa.select(schema.hold)))


def remember_mappings(database: Database, digest: str, texts: Mapping[str, str]) -> None:
    """Keep a set of mapping files under its digest, and that it was taken up now."""
    values = {"digest": digest, "texts": json_codec.dumps(texts), "since": database.now}
    insert = database.insert(schema.mapping_set).values(values)
    taken_up = {"since": insert.excluded.since}
    with database.writing() as connection:
        connection.execute(insert.on_conflict_do_update(index_elements=["digest"], set_=taken_up))


def mapping_texts(database: Database, digest: str) -> dict[str, str]:
    """The mapping files that a delivery's digest names, by path; none where it is not known."""
    table = schema.mapping_set
    with database.reading() as connection:
        found = connection.execute(sa.select(table.c.texts).where(table.c.digest == digest))
        return cast(dict[str, str], json_codec.loads(found.scalar() or "{}"))


def _deliveries() -> Query:
    delivery, event, lane = schema.delivery, schema.event, schema.lane
    return sa.select(
        delivery.c.id,
        event.c.message_id,
        event.c.source,
        delivery.c.destination,
        delivery.c.mapping,
        lane.c.customer.label("lane"),
        delivery.c.status,
        delivery.c.attempts,
        delivery.c.reason,
        delivery.c.created_at,
        delivery.c.settled_at,
    ).select_from(delivery.join(event).join(lane))


def _discards() -> Query:
    discard, event = schema.discard, schema.event
    return sa.select(
        discard.c.id,
        event.c.message_id,
        event.c.source,
        discard.c.destination,
        discard.c.mapping,
        discard.c.reason,
        discard.c.detail,
        discard.c.at.label("created_at"),
    ).select_from(discard.join(event))


def _rows(database: Database, query: Query) -> Iterator[Any]:
    """The rows of a query, each as a dict; whoever asks knows its columns."""
    with (
        database.reading() as connection,
        connection.execution_options(yield_per=_PAGE).execute(query) as result,
    ):
        for row in result:
            yield dict(row._mapping)
