"""Awards: each is made once, whatever is sent again, replayed or mapped anew.

An award is known by its event and mapping, and by the value that the mapping names as its key. A
key is held by the event whose delivery was made for it. A delivery that failed has paid nothing:
the next one for the same key takes it over, and the failed one is not sent again.

An award finds its failed delivery by event, destination, mapping and time: `award.at` is the very
`created_at` of the delivery that was made for it, and both are written from one value.
"""

from collections.abc import Collection, Sequence
from functools import cache, partial

import sqlalchemy as sa

from destination.model.delivery import Award, Delivery, Discard, Status
from destination.model.reason import DiscardReason, FailureReason
from destination.store import schema
from destination.store.database import Insert
from destination.store.rules import Routed, RuleContext

#: The id of an event, and the delivery of it that wants a key.
Claimant = tuple[int, Delivery]

_keys: sa.BindParameter[bytes] = sa.bindparam("keys", expanding=True)
_BY_KEYS = schema.award.c.key.in_(_keys)
_FREE = sa.delete(schema.award).where(_BY_KEYS)
_LOCK = sa.select(schema.award).where(_BY_KEYS).order_by(schema.award.c.key).with_for_update()
_TAKE_OVER = (
    sa.update(schema.award)
    .where(schema.award.c.key == sa.bindparam("award_key"))
    .values(event_id=sa.bindparam("new_event_id"), at=sa.bindparam("now"))
)
_FAILED = sa.select(schema.delivery).where(
    schema.delivery.c.event_id.in_(sa.bindparam("event_ids", expanding=True)),
    schema.delivery.c.status == Status.FAILED.value,
)


@cache
def _reserve(insert: Insert) -> sa.Insert:
    """Inserts and returns the keys that no event holds yet."""
    return insert(schema.award).on_conflict_do_nothing().returning(schema.award.c.key)


def reserve(context: RuleContext, routed: Routed) -> Routed:
    """A rule: a delivery whose award was made already becomes a discard. The keys of the others
    are reserved.
    """
    database, connection, now = context.database, context.connection, context.now
    wanted: dict[bytes, Claimant] = {}
    for event_id, arrival in routed:
        for delivery in arrival.deliveries:
            for key in delivery.award.keys if delivery.award else ():
                wanted.setdefault(key, (event_id, delivery))
    if not wanted:
        return routed
    rows = database.insert_rows(
        connection,
        _reserve(database.insert),
        # Fixed lock order: prevents deadlocks.
        [{"key": key, "event_id": wanted[key][0], "at": now} for key in sorted(wanted)],
    )
    new = {bytes(row.key) for row in rows}
    owned = new | _take_over(connection, wanted, sorted(wanted.keys() - new), now)
    owners = {key: wanted[key][0] for key in owned}
    # If its `award_key` value is taken, give the event's own key back, so that a replay can use it.
    unused = {
        delivery.award.keys[0]
        for event_id, delivery in wanted.values()
        if delivery.award and not _is_free(delivery.award, owners, event_id)
    }
    if unused & new:
        connection.execute(_FREE, {"keys": sorted(unused & new)})
    return [
        (key, arrival.apply(partial(_discard_unless_owned, owners, key))) for key, arrival in routed
    ]


def release(connection: sa.Connection, deliveries: Sequence[int]) -> None:
    """Let others make the awards of failed deliveries that are about to be deleted."""
    award, delivery = schema.award, schema.delivery
    connection.execute(
        sa.delete(award).where(
            sa.exists().where(
                delivery.c.id.in_(deliveries),
                delivery.c.status == Status.FAILED.value,
                delivery.c.event_id == award.c.event_id,
                delivery.c.created_at == award.c.at,
            )
        )
    )


def forget(connection: sa.Connection, before: float, limit: int) -> int:
    """Forget up to `limit` awards that were made before a time. Returns how many."""
    table = schema.award
    oldest = sa.select(table.c.key).where(table.c.at < before).order_by(table.c.at).limit(limit)
    return connection.execute(sa.delete(table).where(table.c.key.in_(oldest))).rowcount


def _discard_unless_owned(
    owners: dict[bytes, int], own: int, delivery: Delivery
) -> Delivery | Discard:
    if delivery.award is None or _is_free(delivery.award, owners, own):
        return delivery
    return delivery.discarded(
        DiscardReason.ALREADY_AWARDED, "Its award was made for an earlier event already."
    )


def _is_free(award: Award, owners: dict[bytes, int], own: int) -> bool:
    """Whether the event `own` holds all keys of an award."""
    return all(owners.get(key) == own for key in award.keys)


def _take_over(
    connection: sa.Connection,
    wanted: dict[bytes, Claimant],
    keys: Sequence[bytes],
    now: float,
) -> set[bytes]:
    """Take keys over from the events that hold them, where their time is over or the delivery made
    for them has failed. Returns the keys that were taken.
    """
    if not keys:
        return set()
    rows = connection.execute(_LOCK, {"keys": keys}).all()
    failed = _failed(connection, {row.event_id for row in rows})
    taken = set()
    for row in rows:
        _, delivery = wanted[bytes(row.key)]
        failure = failed.get((row.event_id, delivery.destination, delivery.mapping, row.at))
        expired = delivery.award is not None and row.at < now - delivery.award.memory
        if expired or (failure and _give_up(connection, failure)):
            taken.add(bytes(row.key))
    if taken:
        connection.execute(
            _TAKE_OVER,
            [
                {"award_key": key, "new_event_id": wanted[key][0], "now": now}
                for key in sorted(taken)
            ],
        )
    return taken


def _failed(
    connection: sa.Connection, events: Collection[int]
) -> dict[tuple[int, str, str, float], int]:
    """The ids of events' failed deliveries, by (event id, destination, mapping, time made)."""
    rows = connection.execute(_FAILED, {"event_ids": list(events)})
    return {(row.event_id, row.destination, row.mapping, row.created_at): row.id for row in rows}


def _give_up(connection: sa.Connection, delivery_id: int) -> bool:
    """Keep a failed delivery from being sent again. False where it has not failed any more."""
    table = schema.delivery
    given_up = connection.execute(
        sa.update(table)
        .where(table.c.id == delivery_id, table.c.status == Status.FAILED.value)
        .values(reason=FailureReason.ALREADY_AWARDED)
    )
    return bool(given_up.rowcount)
