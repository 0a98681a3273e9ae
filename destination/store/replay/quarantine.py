"""Parked events are tried again at most three times without an end: one may take a process down."""

import sqlalchemy as sa

from destination.store import schema
from destination.store.database import Database

#: Tries that may begin and never end: then nobody lived to see what became of them.
MOST_TRIES = 3

#: The reason of a parked event that is not tried again.
QUARANTINED = "quarantined"

_DETAIL = f"Each of {MOST_TRIES} tries took the process down that made it. It is not tried again."


def begin(database: Database, discard_id: int) -> bool | None:
    """Count a try of a parked event before it begins. False where it is quarantined instead;
    None where it is not parked any more. Raises StoreUnavailable.

    What becomes of the try takes the place of the discard, and of the count with it.
    """
    table = schema.discard
    this = sa.update(table).where(table.c.id == discard_id)
    with database.writing() as connection:
        begins = this.where(table.c.tries < MOST_TRIES).values(tries=table.c.tries + 1)
        if connection.execute(begins).rowcount:
            return True
        ends = this.values(reason=QUARANTINED, detail=_DETAIL)
        return False if connection.execute(ends).rowcount else None
