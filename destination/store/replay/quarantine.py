"""Quarantine: an event that a mapping broke on waits, with its reason, for a replay.

It is tried three times without an end at most: one of these events may take a process down.
"""

from enum import Enum

import sqlalchemy as sa

from destination.model.reason import DiscardReason
from destination.store import schema
from destination.store.database import Database

#: Tries that may begin and never end: then nobody lived to see what became of them.
MOST_TRIES = 3

_DETAIL = f"Each of {MOST_TRIES} tries took the process down that made it. It is not tried again."


class Try(Enum):
    """Whether a quarantined event is tried again."""

    BEGUN = "begun"  # it is counted, and may go on
    GIVEN_UP = "given up"  # there were too many: it stays, as `quarantined`
    GONE = "gone"  # it is quarantined no more


def begin(database: Database, discard_id: int) -> Try:
    """Count a try of a quarantined event before it begins. Raises StoreUnavailable.

    What becomes of the try takes the place of the discard, and of the count with it.
    """
    table = schema.discard
    this = sa.update(table).where(table.c.id == discard_id)
    with database.writing() as connection:
        begins = this.where(table.c.tries < MOST_TRIES).values(tries=table.c.tries + 1)
        if connection.execute(begins).rowcount:
            return Try.BEGUN
        ends = this.values(reason=DiscardReason.QUARANTINED, detail=_DETAIL)
        return Try.GIVEN_UP if connection.execute(ends).rowcount else Try.GONE
