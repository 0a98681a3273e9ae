"""Awards: each is made once, whatever is sent again, replayed or mapped anew.

An award is known by its event and mapping, and by the value that the mapping names as its key. A
key is held by the event whose delivery was made for it. A delivery that failed has paid nothing:
the next one for the same key takes it over, and the failed one is not sent again.
"""

from collections.abc import Collection, Sequence
from functools import cache, partial

import sqlalchemy as sa

from destination.model.delivery import Award, Delivery, Discard, Status
from destination.model.reason import DiscardReason, FailureReason
from destination.store import schema
from destination.store.database import Insert
from destination.store.rules import Routed, RuleContext

#: What wants a key: an event, by its id, and one of its deliveries.
Wanting = tuple[int, Delivery]

_keys: sa.BindParameter[bytes] = sa.bindparam("keys", expanding=True)
_THESE = schema.award.c.key.in_(_keys)
_FREE = sa.delete(schema.award).where(_THESE)
_LOCK = sa.select(schema.award).where(_THESE).order_by(schema.award.c.key).with_for_update()
_TAKE_OVER = (
    sa.update(schema.award)
    .where(schema.award.c.key == sa.bindparam("of"))
    .values(event_id=sa.bindparam("by"), at=sa.bindparam("now"))
)
_FAILED = sa.select(schema.delivery).where(
    schema.delivery.c.event_id.in_(sa.bindparam("events", expanding=True)),
    schema.delivery.c.status == Status.FAILED.value,
)


@cache
def _reserve(insert: Insert) -> sa.Insert:
    """The keys that nobody holds, which it returns."""
    return insert(schema.award).on_conflict_do_nothing().returning(schema.award.c.key)


def reserve(context: RuleContext, routed: Routed) -> Routed:
    """A rule: a delivery whose award was made already becomes a discard. The keys of the others
    are reserved.
    """
    database, connection, now = context.database, context.connection, context.now
    wanted: dict[bytes, Wanting] = {}
    for event_id, arrival in routed:
        for delivery in arrival.deliveries:
            for key in delivery.award.keys if delivery.award else ():
                wanted.setdefault(key, (event_id, delivery))
    if not wanted:
        return routed
    rows = database.insert_rows(
        connection,
        _reserve(database.insert),
        # sorted: two receivers that reserve the same keys must not wait for each other
        [{"key": key, "event_id": wanted[key][0], "at": now} for key in sorted(wanted)],
    )
    new = {bytes(row.key) for row in rows}
    owned = new | _take_over(connection, wanted, sorted(wanted.keys() - new), now)
    owners = {key: wanted[key][0] for key in owned}
    # An event whose value was paid for already leaves the key of the event itself to a replay.
    unused = {
        delivery.award.keys[0]
        for event_id, delivery in wanted.values()
        if delivery.award and not _is_free(delivery.award, owners, event_id)
    }
    if unused & new:
        connection.execute(_FREE, {"keys": sorted(unused & new)})
    return [(key, arrival.apply(partial(_check, owners, key))) for key, arrival in routed]


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
    """Forget up to `limit` awards that were made before a time; how many there were."""
    table = schema.award
    oldest = sa.select(table.c.key).where(table.c.at < before).order_by(table.c.at).limit(limit)
    return connection.execute(sa.delete(table).where(table.c.key.in_(oldest))).rowcount


def _check(owners: dict[bytes, int], own: int, delivery: Delivery) -> Delivery | Discard:
    if delivery.award is None or _is_free(delivery.award, owners, own):
        return delivery
    return delivery.discarded(
        DiscardReason.ALREADY_AWARDED, "Its award was made for an earlier event already."
    )


def _is_free(award: Award, owners: dict[bytes, int], own: int) -> bool:
    """Whether an event holds all keys of an award."""
    return all(owners.get(key) == own for key in award.keys)


def _take_over(
    connection: sa.Connection,
    wanted: dict[bytes, Wanting],
    keys: Sequence[bytes],
    now: float,
) -> set[bytes]:
    """The keys that can be taken from those who hold them: their time is over, or the delivery
    that was made for them has failed.
    """
    if not keys:
        return set()
    rows = connection.execute(_LOCK, {"keys": keys}).all()
    failed = _failed(connection, {row.event_id for row in rows})
    taken = set()
    for row in rows:
        _, delivery = wanted[bytes(row.key)]
        failure = failed.get((row.event_id, delivery.destination, delivery.mapping, row.at))
        over = delivery.award is not None and row.at < now - delivery.award.memory
        if over or (failure and _give_up(connection, failure)):
            taken.add(bytes(row.key))
    if taken:
        connection.execute(
            _TAKE_OVER,
            [{"of": key, "by": wanted[key][0], "now": now} for key in sorted(taken)],
        )
    return taken


def _failed(
    connection: sa.Connection, events: Collection[int]
) -> dict[tuple[int, str, str, float], int]:
    """The failed deliveries of events, by what an award knows of them."""
    rows = connection.execute(_FAILED, {"events": list(events)})
    return {(row.event_id, row.destination, row.mapping, row.created_at): row.id for row in rows}


def _give_up(connection: sa.Connection, delivery_id: int) -> bool:
    """Keep a failed delivery from being sent again; False where somebody was faster to do so."""
    table = schema.delivery
    given_up = connection.execute(
        sa.update(table)
        .where(table.c.id == delivery_id, table.c.status == Status.FAILED.value)
        .values(reason=FailureReason.ALREADY_AWARDED)
    )
    return bool(given_up.rowcount)
