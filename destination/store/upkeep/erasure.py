"""Forgetting: what is kept about a customer is removed, and what waits for it is not sent.

What stays says nothing of anybody: that a call with this message id was here, so that a retry of it
or a replay brings nothing back, and that a referral code is taken.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from destination.store import schema
from destination.store.database import Database, tried_again
from destination.store.upkeep.retention import empty
from destination.support import json_codec

#: How many events one transaction forgets.
BATCH = 200

#: How many customers are looked for at once, and lose their names.
AT_ONCE = 100

#: Seconds that a call may take from its arrival until everybody sees it.
ON_ITS_WAY = 60.0

#: In the place of the customer whose referral code it was: no id is blank.
NOBODY = ""

#: An id that a call may bring as a number.
_NUMBER = re.compile(r"-?\d+(\.\d+)?")

_event = schema.event

#: A call without a customer: or one that was refused, was not read, and is known by its text alone.
_NAMELESS_CALL = _event.c.user_id.is_(None)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is kept about customers: their events, by id."""

    events: Sequence[int]
    #: How many of their deliveries wait or are under way.
    waiting: int
    #: All of theirs up to this event are known; a later one may have come meanwhile.
    newest: int
    #: For how many of the ids nothing was found.
    unknown: int


def find(database: Database, customers: Sequence[str], anonymous: Sequence[str] = ()) -> Known:
    """What is kept about customers, and about whoever had an anonymous id before it was known who
    they are. It reads everything: seconds for millions of events.

    Raises StoreUnavailable.
    """
    events: set[int] = set()
    found: set[str] = set()
    waiting = 0
    long_here = sa.select(sa.func.max(_event.c.id)).where(
        _event.c.received_at < database.now - ON_ITS_WAY
    )
    with database.reading() as connection:
        newest = connection.execute(long_here).scalar_one() or 0
        for start in range(0, len(customers), AT_ONCE):
            theirs, known, wait = _of_customers(connection, customers[start : start + AT_ONCE])
            events |= theirs
            found |= known
            waiting += wait
        for start in range(0, len(anonymous), AT_ONCE):
            names = anonymous[start : start + AT_ONCE]
            for event_id, name in _events_naming(connection, "anonymousId", names, _NAMELESS_CALL):
                events.add(event_id)
                found.add(name)
    unknown = len({*customers, *anonymous} - found)
    return Known(events=sorted(events), waiting=waiting, newest=newest, unknown=unknown)


def _of_customers(
    connection: sa.Connection, customers: Sequence[str]
) -> tuple[set[int], set[str], int]:
    """The customers' events, those of the customers for whom anything was found, and how many of
    their deliveries wait.
    """
    lane, delivery = schema.lane.c, schema.delivery.c
    lanes = connection.execute(
        sa.select(lane.id, lane.customer).where(lane.customer.in_(customers))
    ).all()
    theirs = delivery.lane_id.in_([each.id for each in lanes])
    sent = connection.execute(sa.select(delivery.event_id).where(theirs)).scalars().all()
    waits = sa.select(sa.func.count()).where(theirs, schema.WAITING)
    named = [
        *connection.execute(
            sa.select(_event.c.id, _event.c.user_id).where(_event.c.user_id.in_(customers))
        ),
        *_events_naming(connection, "userId", customers, _NAMELESS_CALL),
        # Who was called so before.
        *_events_naming(connection, "previousId", customers, _event.c.type == "alias"),
    ]
    events = {*sent, *(event_id for event_id, _ in named)}
    names = {*(each.customer for each in lanes), *(name for _, name in named)}
    return events, names, connection.execute(waits).scalar_one()


def _events_naming(
    connection: sa.Connection, key: str, values: Sequence[str], which: sa.ColumnElement[bool]
) -> Iterator[tuple[int, str]]:
    """Events whose call has one of the values under a key, with it: as text, or as the number it
    is. One that was refused is kept as it came, with its blanks and escapes.
    """
    written = {text for value in values for text in (json_codec.dumps(value), json.dumps(value))}
    written |= {value for value in values if _NUMBER.fullmatch(value)}
    # It only narrows the rows down: to SQLite's LIKE, ada is ADA.
    may = sa.or_(*(_event.c.call.contains(text, autoescape=True) for text in sorted(written)))
    under = re.compile(rf'"{key}"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d[-+.\deE]*)')
    rows = connection.execute(
        sa.select(_event.c.id, _event.c.call).where(which, may),
        execution_options={"yield_per": BATCH},
    )
    for row in rows:
        for said in {*map(_id_of, under.findall(row.call))} & {*values}:
            yield row.id, said


def _id_of(written: str) -> str:
    """What a call says as an id: `"ada"` and `4711` are ada and 4711."""
    try:
        return str(json_codec.loads(written))
    except ValueError:
        return written


def forget(database: Database, customers: Sequence[str], known: Known) -> Iterator[int]:
    """Remove what is `known`, in batches of a transaction each. Yields after each how many events
    it removed.

    What arrives in the customers' lanes before the lanes' names go is removed with the rest; what
    arrives later is a new customer's. The names of the lanes and of the codes' owners go last: a
    run that was killed finds the rest when it is run again. Raises StoreUnavailable.
    """
    for start in range(0, len(known.events), BATCH):
        events = known.events[start : start + BATCH]
        _forget_events(database, events)
        yield len(events)
    for start in range(0, len(customers), AT_ONCE):
        yield _forget_names(database, customers[start : start + AT_ONCE], known.newest)


@tried_again
def _forget_events(database: Database, events: Sequence[int]) -> None:
    with database.writing() as connection:
        _remove(database, connection, events)


def _remove(database: Database, connection: sa.Connection, events: Sequence[int]) -> None:
    lane, delivery, attempt = schema.lane, schema.delivery, schema.attempt
    made = delivery.c.event_id.in_(events)
    lanes = _lock(connection, lane.c.id.in_(sa.select(delivery.c.lane_id).where(made)))
    gone = attempt.c.delivery_id.in_(sa.select(delivery.c.id).where(made))
    connection.execute(sa.delete(attempt).where(gone))
    connection.execute(sa.delete(delivery).where(made))
    connection.execute(sa.delete(schema.discard).where(schema.discard.c.event_id.in_(events)))
    empty(database, connection, events)
    waits = sa.exists().where(delivery.c.lane_id == lane.c.id, schema.WAITING)
    at_rest = sa.update(lane).where(lane.c.id.in_(lanes), lane.c.owner.is_(None), ~waits)
    connection.execute(at_rest.values(ready_at=None))


def _lock(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Sequence[int]:
    """Lanes, by their ids. Until the commit nobody leases them, or queues anything in them."""
    lane = schema.lane
    # Fixed lock order: prevents deadlocks.
    locked = sa.select(lane.c.id).where(which).order_by(lane.c.destination, lane.c.customer)
    return connection.execute(locked.with_for_update()).scalars().all()


@tried_again
def _forget_names(database: Database, customers: Sequence[str], newest: int) -> int:
    """Take the customers' names from their lanes, profiles and codes. Returns how many events were
    still found and removed.
    """
    lane, code, profile = schema.lane, schema.referral_code, schema.profile
    removed = 0
    with database.writing() as connection:
        # Locked before the lanes, as receivers do. Deleted after them, with what came meanwhile.
        times = sa.select(profile.c.customer).where(profile.c.customer.in_(customers))
        times = times.order_by(profile.c.destination, profile.c.customer)
        connection.execute(times.with_for_update())
        lanes = _lock(connection, lane.c.customer.in_(customers))
        while late := connection.execute(_late(lanes, newest)).scalars().all():
            _remove(database, connection, late)
            removed += len(late)
            # A call that came meanwhile may have brought a new one, at another destination.
            lanes = _lock(connection, lane.c.customer.in_(customers))
        connection.execute(sa.delete(profile).where(profile.c.customer.in_(customers)))
        if lanes:
            # Each gets a name of its own, which nobody can guess and send us as an id.
            names = [
                {"lane_id": lane_id, "new_name": f"forgotten-{uuid.uuid4().hex}"}
                for lane_id in lanes
            ]
            connection.execute(_NAMELESS, names)
        owned = sa.update(code).where(code.c.customer.in_(customers))
        connection.execute(owned.values(customer=NOBODY))
    return removed


#: What a worker had under way has left; its acknowledgement finds nothing, and changes nothing.
_NAMELESS = (
    sa.update(schema.lane)
    .where(schema.lane.c.id == sa.bindparam("lane_id"))
    .values(customer=sa.bindparam("new_name"), owner=None, ready_at=None)
)


def _late(lanes: Sequence[int], newest: int) -> sa.Select[int]:
    """Some events with deliveries in these lanes that wait, or that came after the newest known
    event and were sent meanwhile. Two queries, since no index leads from a lane to all it ever had.
    """
    delivery = schema.delivery
    stands = sa.select(delivery.c.event_id).where(delivery.c.lane_id.in_(lanes))
    late = sa.union(
        stands.where(schema.WAITING), stands.where(delivery.c.event_id > newest)
    ).subquery()
    return sa.select(late.c.event_id).limit(BATCH)
