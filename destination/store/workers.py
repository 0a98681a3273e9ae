"""Workers write that they live: so that everything that looks can say where none does."""

from dataclasses import dataclass

import sqlalchemy as sa

from destination.store import schema
from destination.store.database import Database

#: Seconds after which a worker says again that it lives, and for which it is believed.
SAY_EVERY, BELIEVED = 10.0, 30.0

#: Seconds after which the row of a worker that was killed is removed.
_FORGOTTEN = 24 * 3600.0

_worker = schema.worker.c


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Who delivers, at a moment. Times by the database's clock."""

    now: float
    #: How many workers live.
    alive: int
    #: When one was last seen, of those that did not stop by themselves; None where there is none.
    last_seen: float | None


def say_alive(database: Database, worker: str) -> None:
    """Write down that a worker, by its id, lives. Raises StoreUnavailable."""
    insert = database.insert(schema.worker).values(
        id=worker, started_at=database.now, seen_at=database.now
    )
    seen = {"seen_at": insert.excluded.seen_at}
    with database.writing() as connection:
        connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=seen))


def say_stopped(database: Database, worker: str) -> None:
    """A worker stops, and nobody waits for it. Raises StoreUnavailable."""
    with database.writing() as connection:
        connection.execute(sa.delete(schema.worker).where(_worker.id == worker))


def sight(database: Database) -> Sighting:
    """Who delivers now. Raises StoreUnavailable."""
    lives = _worker.seen_at > database.now - BELIEVED
    query = sa.select(
        database.now.label("now"),
        sa.func.count(sa.case((lives, 1))).label("alive"),
        sa.func.max(_worker.seen_at).label("last_seen"),
    ).select_from(schema.worker)
    with database.reading() as connection:
        row = connection.execute(query).one()
    return Sighting(now=row.now, alive=row.alive, last_seen=row.last_seen)


def forget_dead(database: Database) -> int:
    """Remove the rows of workers that died long ago; how many. Raises StoreUnavailable."""
    dead = _worker.seen_at < database.now - _FORGOTTEN
    with database.reading() as connection:
        if connection.execute(sa.select(_worker.id).where(dead).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        return connection.execute(sa.delete(schema.worker).where(dead)).rowcount
