"""Forgetting: what is kept about a customer is removed, and what waits for it is not sent.

What stays says nothing of anybody: that a call with this message id was here, so that a retry of it
or a replay brings nothing back, and that a referral code is taken.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from destination import jsontext
from destination.database import Database, tried_again
from destination.store import schema
from destination.store.retention import empty

#: How many events one step forgets.
STEP = 200

#: How many customers are looked for at once.
AT_ONCE = 100

#: In the place of the customer whose referral code it was.
NOBODY = "forgotten"

#: An id that a call may bring as a number.
_NUMBER = re.compile(r"-?\d+(\.\d+)?")

_event = schema.event


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is kept about customers: their lanes and their events, by id."""

    lanes: Sequence[int]
    events: Sequence[int]
    #: How many of their deliveries wait or are under way.
    waiting: int


def find(database: Database, customers: Sequence[str], anonymous: Sequence[str] = ()) -> Known:
    """What is kept about customers, and about whoever had an anonymous id before it was known who
    they are. It reads everything: seconds for millions of events.

    Raises StoreUnavailable.
    """
    lanes: list[int] = []
    events: set[int] = set()
    waiting = 0
    with database.reading() as connection:
        for start in range(0, len(customers), AT_ONCE):
            some = customers[start : start + AT_ONCE]
            own = schema.lane.c.customer.in_(some)
            found = connection.execute(sa.select(schema.lane.c.id).where(own)).scalars().all()
            lanes += found
            events.update(connection.execute(_events_of(some, found)).scalars())
            waits = (schema.delivery.c.lane_id.in_(found), schema.WAITING)
            waiting += connection.execute(sa.select(sa.func.count()).where(*waits)).scalar_one()
        for start in range(0, len(anonymous), AT_ONCE):
            nameless = _says("anonymousId", anonymous[start : start + AT_ONCE])
            theirs = sa.select(_event.c.id).where(_event.c.user_id.is_(None), nameless)
            events.update(connection.execute(theirs).scalars())
    return Known(lanes=lanes, events=sorted(events), waiting=waiting)


def _events_of(customers: Sequence[str], lanes: Sequence[int]) -> sa.CompoundSelect[int]:
    delivery = schema.delivery
    own = sa.select(_event.c.id).where(
        _event.c.user_id.in_(customers)
        # A call that was refused was not read, and is known by its text alone.
        | (_event.c.user_id.is_(None) & _says("userId", customers))
        # Who was called so before.
        | ((_event.c.type == "alias") & _says("previousId", customers))
    )
    return own.union(sa.select(delivery.c.event_id).where(delivery.c.lane_id.in_(lanes)))


def _says(key: str, values: Sequence[str]) -> sa.ColumnElement[bool]:
    """That a call's text has one of the values under a key: as text, or as the number it is."""
    texts = [f'"{key}":{jsontext.dumps(value)}' for value in values]
    numbers = [f'"{key}":{value}' for value in values if _NUMBER.fullmatch(value)]
    texts += [f"{number}{end}" for number in numbers for end in ",}"]
    return sa.or_(*(_event.c.call.contains(text, autoescape=True) for text in texts))


def forget(database: Database, customers: Sequence[str], known: Known) -> Iterator[int]:
    """Remove it, in steps of a transaction each; tells after each how many events it did.

    Whoever is killed in the middle finds the rest when it is run again: the names of the lanes
    and of the codes' owners go last. Raises StoreUnavailable.
    """
    for start in range(0, len(known.events), STEP):
        events = known.events[start : start + STEP]
        _forget_events(database, events)
        yield len(events)
    _forget_names(database, customers, known.lanes)


@tried_again
def _forget_events(database: Database, events: Sequence[int]) -> None:
    lane, delivery, attempt = schema.lane, schema.delivery, schema.attempt
    made = delivery.c.event_id.in_(events)
    with database.writing() as connection:
        # No worker claims them meanwhile; sorted as receivers and workers sort them.
        locked = sa.select(lane.c.id).where(
            lane.c.id.in_(sa.select(delivery.c.lane_id).where(made))
        )
        locked = locked.order_by(lane.c.destination, lane.c.customer).with_for_update()
        lanes = connection.execute(locked).scalars().all()
        gone = attempt.c.delivery_id.in_(sa.select(delivery.c.id).where(made))
        connection.execute(sa.delete(attempt).where(gone))
        connection.execute(sa.delete(delivery).where(made))
        connection.execute(sa.delete(schema.discard).where(schema.discard.c.event_id.in_(events)))
        empty(database, connection, events)
        waits = sa.exists().where(delivery.c.lane_id == lane.c.id, schema.WAITING)
        at_rest = sa.update(lane).where(lane.c.id.in_(lanes), lane.c.owner.is_(None), ~waits)
        connection.execute(at_rest.values(ready_at=None))


@tried_again
def _forget_names(database: Database, customers: Sequence[str], lanes: Sequence[int]) -> None:
    lane, code, profile = schema.lane, schema.referral_code, schema.profile
    with database.writing() as connection:
        connection.execute(sa.delete(profile).where(profile.c.customer.in_(customers)))
        # What a worker had under way has left; its settlement finds nothing, and changes nothing.
        nobody = sa.literal(f"{NOBODY}-").concat(sa.cast(lane.c.id, sa.Text))
        connection.execute(
            sa.update(lane)
            .where(lane.c.id.in_(lanes))
            .values(customer=nobody, owner=None, ready_at=None)
        )
        owned = sa.update(code).where(code.c.customer.in_(customers))
        connection.execute(owned.values(customer=NOBODY))
