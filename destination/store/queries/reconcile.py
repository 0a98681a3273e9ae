"""What became of calls, by their message ids: to compare with what was sent."""

from collections.abc import Sequence

import sqlalchemy as sa

from destination.model.arrival import CountedOutcome, Outcome
from destination.model.delivery import Status
from destination.store import schema
from destination.store.database import Database

#: Of a call with several deliveries, the first of these is shown: what a person must look at.
_WORST = (Status.UNCERTAIN, Status.FAILED, Status.SENDING, Status.PENDING, Status.DELIVERED)


def outcomes(
    database: Database, source: str, message_ids: Sequence[str]
) -> dict[str, CountedOutcome]:
    """What became of the calls of a source that are here: a delivery's status and its reason,
    `discarded` with the reason, or `removed`, where it is past its age. By message id; one that
    never arrived is left out. Raises StoreUnavailable.
    """
    event, delivery, discard = schema.event, schema.delivery, schema.discard
    wanted = sa.select(event.c.id, event.c.message_id).where(
        event.c.message_id.in_(message_ids), event.c.source == source
    )
    with database.reading() as connection:
        names = {row.id: row.message_id for row in connection.execute(wanted)}
        made = sa.select(delivery.c.event_id, delivery.c.status, delivery.c.reason)
        made = made.where(delivery.c.event_id.in_(names))
        deliveries: Sequence[schema.Row] = connection.execute(made).all()
        dropped = sa.select(discard.c.event_id, discard.c.reason).order_by(discard.c.id.desc())
        discards = connection.execute(dropped.where(discard.c.event_id.in_(names))).all()
    found = dict.fromkeys(names.values(), CountedOutcome("removed"))
    found |= {
        names[row.event_id]: CountedOutcome(Outcome.DISCARDED.value, row.reason) for row in discards
    }
    deliveries = sorted(deliveries, key=lambda row: -_WORST.index(Status(row.status)))
    found |= {names[row.event_id]: CountedOutcome(row.status, row.reason) for row in deliveries}
    return found
