"""Quarantine: an event that a mapping broke on waits, with its reason, for a replay.

At most three tries may begin and never end, since such an event may take a process down. A
quarantined event carries the reason `mapping_failed`; the reason `quarantined` means: given up.
"""

from enum import Enum

import sqlalchemy as sa

from destination.model.reason import DiscardReason
from destination.store import schema
from destination.store.database import Database

#: Tries that may begin and never end, since the process died of them.
MOST_TRIES = 3

_DETAIL = f"Each of {MOST_TRIES} tries took the process down that made it. It is not tried again."


class Try(Enum):
    """Whether a quarantined event is tried again."""

    BEGUN = "begun"  # it is counted, and may go on
    GIVEN_UP = "given up"  # there were too many: it stays, as `quarantined`
    GONE = "gone"  # it is not quarantined any more


def begin(database: Database, discard_id: int) -> Try:
    """Count a try of a quarantined event before it begins. Raises StoreUnavailable.

    What becomes of the try takes the place of the discard, and of the count with it.
    """
    table = schema.discard
    update = sa.update(table).where(table.c.id == discard_id)
    with database.writing() as connection:
        counted = update.where(table.c.tries < MOST_TRIES).values(tries=table.c.tries + 1)
        if connection.execute(counted).rowcount:
            return Try.BEGUN
        given_up = update.values(reason=DiscardReason.QUARANTINED, detail=_DETAIL)
        return Try.GIVEN_UP if connection.execute(given_up).rowcount else Try.GONE
