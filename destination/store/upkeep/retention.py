"""Retention: what is past its age is removed, in small batches, so that nobody waits for it.

A delivery goes with its attempts. An event's payload goes with the last delivery or discard that
was made of it. The event's row keeps the id alone, and goes when no repetition of the call is to be
expected any more. What waits has no age, unless it is for a subscriber who has gone.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from destination.model.delivery import Status
from destination.model.reason import FailureReason
from destination.partners.webhook.destination import HORIZON, endpoint
from destination.store import schema
from destination.store.database import Database, tried_again
from destination.store.rules import award_once
from destination.store.workers import forget_dead
from destination.support.periodic import every

log = structlog.get_logger()

#: How many deliveries, discards or ids one transaction removes at most.
BATCH = 200

#: How many deliveries are read at once for the mapping files that they name.
SCAN = 5000

#: Seconds between two batches of a pass: others have the database for most of the time.
PAUSE = 0.1

#: Seconds between two passes.
SWEEP_EVERY = 600.0


@dataclass(frozen=True, kw_only=True)
class Ages:
    """Seconds for which what is kept is kept."""

    delivered: float
    discarded: float
    #: Both what failed and what is uncertain.
    failed: float
    #: After the payload is gone.
    ids: float
    #: What an award is known by: longer than all the rest.
    awards: float


def keep_sweeping(database: Database, ages: Ages) -> Callable[[], None]:
    """Sweep from time to time, in a thread of its own; returns what ends it."""

    def look(ended: threading.Event) -> None:
        removed = 0
        try:
            for count in sweep(database, ages):
                removed += count
                if ended.wait(PAUSE):
                    return
        finally:
            if removed:
                log.info("removed what was past its age", rows=removed)

    # Workers that start together do not all sweep together.
    first = random.uniform(0, SWEEP_EVERY / 10)  # noqa: S311 - no secret
    return every(SWEEP_EVERY, look, name="sweep", first=first)


def sweep(database: Database, ages: Ages) -> Iterator[int]:
    """One pass over what is kept: removes what is past its age, in batches of a transaction each.
    Yields after each how many it removed. Raises StoreUnavailable.
    """
    yield from _fail_abandoned(database)
    yield from _deliveries(database, ages)
    yield from _discards(database, ages.discarded)
    yield from _ids(database, ages.ids)
    yield from _awards(database, ages.awards)
    yield from _mapping_sets(database, max(ages.delivered, ages.discarded, ages.failed))
    if removed := forget_dead(database):
        yield removed


def _fail_abandoned(database: Database) -> Iterator[int]:
    """Fail what waits for an account that has not been active for as long as a notification is
    tried: nobody takes it any more.
    """
    account, lane = schema.account, schema.lane
    gone = sa.select(sa.literal(endpoint("")) + account.c.id).where(
        account.c.active.is_(sa.false()), account.c.updated_at < database.now - HORIZON
    )
    waiting = (
        sa.select(lane.c.id)
        # What is under way is ready when its lease ends.
        .where(lane.c.destination.in_(gone), lane.c.ready_at <= database.now)
        .order_by(lane.c.destination, lane.c.customer)
        .limit(BATCH)
    )
    while True:
        with database.reading() as connection:
            if connection.execute(waiting).first() is None:
                return
        yield _fail(database, waiting)


@tried_again
def _fail(database: Database, waiting: sa.Select[int]) -> int:
    """Fail all that waits in these lanes, which are empty then. Returns how many deliveries."""
    delivery, lane = schema.delivery, schema.lane
    failed = {
        "status": Status.FAILED.value,
        "reason": FailureReason.ACCOUNT_INACTIVE.value,
        "settled_at": database.now,
    }
    with database.writing() as connection:
        lanes = connection.execute(waiting.with_for_update()).scalars().all()
        waits = sa.update(delivery).where(delivery.c.lane_id.in_(lanes), schema.WAITING)
        count = connection.execute(waits.values(failed)).rowcount
        at_rest = sa.update(lane).where(lane.c.id.in_(lanes))
        connection.execute(at_rest.values(owner=None, ready_at=None))
    return count


def _deliveries(database: Database, ages: Ages) -> Iterator[int]:
    """Scan by id until an event is too young. Use the event's age: a replay renews the delivery's
    own time.
    """
    table, event = schema.delivery, schema.event
    came_before = database.now - min(ages.delivered, ages.failed)
    due = sa.func.coalesce(_past(database, ages), sa.false())
    window = (
        sa.select(table.c.id, due.label("due"), (event.c.received_at < came_before).label("old"))
        .join(event)
        .where(table.c.id > sa.bindparam("after"))
        .order_by(table.c.id)
        .limit(BATCH)
    )
    after, more = 0, True
    while more:
        with database.reading() as connection:
            rows = connection.execute(window, {"after": after}).all()
        if found := [row.id for row in rows if row.due]:
            yield _remove_deliveries(database, found, ages)
        more = len(rows) == BATCH and rows[-1].old
        after = rows[-1].id if rows else after


def _past(database: Database, ages: Ages) -> sa.ColumnElement[bool]:
    """Whether a delivery is past its age: NULL for one that waits, which has no age."""
    table = schema.delivery
    age = sa.case(
        (table.c.status == Status.DELIVERED.value, ages.delivered),
        (table.c.status.in_([Status.FAILED.value, Status.UNCERTAIN.value]), ages.failed),
    )
    return table.c.settled_at < database.now - age


def _discards(database: Database, age: float) -> Iterator[int]:
    table = schema.discard
    oldest = sa.select(table.c.id, table.c.at).order_by(table.c.id).limit(BATCH)
    more = True
    while more:
        with database.reading() as connection:
            cut = database.read_clock(connection) - age
            rows = connection.execute(oldest).all()
        if due := [row.id for row in rows if row.at < cut]:
            yield _remove_discards(database, due)
        more = len(due) == BATCH


def _ids(database: Database, age: float) -> Iterator[int]:
    table = schema.event
    oldest = sa.select(table.c.id).order_by(table.c.emptied_at).limit(BATCH)
    removed = BATCH
    while removed == BATCH:
        with database.reading() as connection:
            cut = database.read_clock(connection) - age
            due = connection.execute(oldest.where(table.c.emptied_at < cut)).scalars().all()
        if removed := len(due) and _remove_events(database, due):
            yield removed


def _awards(database: Database, age: float) -> Iterator[int]:
    oldest = sa.select(sa.func.min(schema.award.c.at))
    removed = BATCH
    while removed == BATCH:
        with database.reading() as connection:
            cut = database.read_clock(connection) - age
            first = connection.execute(oldest).scalar_one()
        if first is None or first >= cut:
            return
        with database.writing() as connection:
            removed = award_once.forget(connection, cut, BATCH)
        yield removed


def _mapping_sets(database: Database, age: float) -> Iterator[int]:
    """Remove sets that no delivery names any more, and that no process has taken up for as long as
    payloads are kept. No index leads from a set to its deliveries. So where there are old sets, the
    deliveries are read from the oldest on, until each set is found.
    """
    kept, delivery = schema.mapping_set, schema.delivery
    newest = sa.select(sa.func.max(kept.c.since)).scalar_subquery()
    # The newest one is in force, however old.
    old = (kept.c.since < database.now - age) & (kept.c.since < newest)
    window = (
        sa.select(delivery.c.id, delivery.c.mapping_set)
        .where(delivery.c.id > sa.bindparam("after"))
        .order_by(delivery.c.id)
        .limit(SCAN)
    )
    with database.reading() as connection:
        unnamed = set(connection.execute(sa.select(kept.c.digest).where(old)).scalars())
    after, more = 0, True
    while unnamed and more:
        with database.reading() as connection:
            rows = connection.execute(window, {"after": after}).all()
        unnamed -= {row.mapping_set for row in rows}
        after, more = (rows[-1].id if rows else after), len(rows) == SCAN
        yield 0  # others have the database for a while
    if unnamed:
        with database.writing() as connection:
            # One that was taken up meanwhile is not old any more.
            gone = sa.delete(kept).where(kept.c.digest.in_(unnamed), old)
            removed = connection.execute(gone).rowcount
        yield removed


@tried_again
def _remove_deliveries(database: Database, ids: Sequence[int], ages: Ages) -> int:
    """Remove those that are still past their ages: one may have been sent again meanwhile."""
    delivery, attempt = schema.delivery, schema.attempt
    still = (
        sa.select(delivery.c.id, delivery.c.event_id)
        .where(delivery.c.id.in_(ids), _past(database, ages))
        .with_for_update(skip_locked=True)  # another worker sweeps too
    )
    with database.writing() as connection:
        rows = connection.execute(still).all()
        found = [row.id for row in rows]
        award_once.release(connection, found)
        connection.execute(sa.delete(attempt).where(attempt.c.delivery_id.in_(found)))
        connection.execute(sa.delete(delivery).where(delivery.c.id.in_(found)))
        empty(database, connection, [row.event_id for row in rows])
    return len(found)


@tried_again
def _remove_discards(database: Database, ids: Sequence[int]) -> int:
    table = schema.discard
    with database.writing() as connection:
        gone = sa.delete(table).where(table.c.id.in_(ids)).returning(table.c.event_id)
        events = connection.execute(gone).scalars().all()
        empty(database, connection, events)
    return len(events)


def _remove_events(database: Database, ids: Sequence[int]) -> int:
    with database.writing() as connection:
        gone = sa.delete(schema.event).where(schema.event.c.id.in_(ids), _NOTHING_LEFT)
        return connection.execute(gone).rowcount


def empty(database: Database, connection: sa.Connection, events: Sequence[int]) -> None:
    """Remove the payloads, and the notifications' ids, of those of the events that have no delivery
    and no discard any more.
    """
    table, notice = schema.event, schema.notice
    # Of two transactions that remove the last things of an event, one waits here, and then sees
    # that nothing is left. A transaction that only queues something for the event does not wait.
    locked = sa.select(table.c.id).where(table.c.id.in_(events)).order_by(table.c.id)
    connection.execute(locked.with_for_update(key_share=True))
    left = sa.select(table.c.id).where(table.c.id.in_(events), _NOTHING_LEFT)
    connection.execute(sa.delete(notice).where(notice.c.event_id.in_(left)))
    connection.execute(
        sa.update(table)
        .where(table.c.id.in_(events), _NOTHING_LEFT)
        .values(call="", name=None, user_id=None, timestamp=None, emptied_at=database.now)
    )


_NOTHING_LEFT = ~(
    sa.exists().where(schema.delivery.c.event_id == schema.event.c.id)
    | sa.exists().where(schema.discard.c.event_id == schema.event.c.id)
)
