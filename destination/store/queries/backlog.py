"""What stands where: how much waits for each destination and how long, for those who watch."""

from collections import defaultdict
from dataclasses import dataclass

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.store import schema
from destination.store.database import Database

_table = schema.delivery
#: Answered by an index alone, however many deliveries there are.
_OPEN = (
    sa.select(
        _table.c.destination,
        _table.c.status,
        sa.func.count().label("number"),
        sa.func.min(_table.c.id).label("oldest"),
    )
    .where(schema.OPEN)
    .group_by(_table.c.status, _table.c.destination)
)
_SINCE = sa.select(
    _table.c.id, sa.func.coalesce(_table.c.settled_at, _table.c.created_at).label("since")
).where(_table.c.id.in_(sa.bindparam("ids", expanding=True)))


@dataclass(kw_only=True)
class Standing:
    """What stands with one destination. Ages in seconds; 0 where there is nothing."""

    waiting: int = 0
    oldest_waiting_seconds: float = 0.0
    uncertain: int = 0
    oldest_uncertain_seconds: float = 0.0
    failed: int = 0
    #: Why it is on hold.
    held: str | None = None


def standings(database: Database) -> dict[str, Standing]:
    """What stands where, by destination; one without anything is left out.

    Raises StoreUnavailable.
    """
    with database.reading() as connection:
        now = database.read_clock(connection)
        rows = connection.execute(_OPEN).all()
        found = connection.execute(_SINCE, {"ids": [row.oldest for row in rows]})
        since = {row.id: row.since for row in found}
        held = {row.destination: row.reason for row in connection.execute(sa.select(schema.hold))}
    standings: defaultdict[str, Standing] = defaultdict(Standing)
    for row in rows:
        standing, age = standings[row.destination], now - since[row.oldest]
        if row.status == Status.FAILED.value:
            standing.failed = row.number
        elif row.status == Status.UNCERTAIN.value:
            standing.uncertain, standing.oldest_uncertain_seconds = row.number, age
        else:
            standing.waiting += row.number
            standing.oldest_waiting_seconds = max(standing.oldest_waiting_seconds, age)
    for name, reason in held.items():
        standings[name].held = reason
    return standings
