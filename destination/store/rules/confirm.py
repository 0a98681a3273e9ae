"""Confirming: what an engine's own notice shows to have been processed is delivered.

The notice may come before the answer that we then do not see, so it is noted on a delivery that
is still under way; acknowledging it heeds the note.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from destination.model.delivery import Confirmation, Status
from destination.model.reason import DeliveredReason
from destination.store import schema
from destination.support import json_codec

#: Seconds within which an engine's notice tells of what it was sent. A later notice is more likely
#: about a later award: a customer may do the same each day.
PROMPT = 3600.0

_delivery, _lane, _attempt = schema.delivery, schema.lane, schema.attempt

#: Its request has left, and nobody has seen the answer. The second half changes nothing: it repeats
#: the condition of the index of what is open, without which no database uses it.
_UNANSWERED = sa.text(
    "delivery.status IN ('sending', 'uncertain') AND delivery.status <> 'delivered'"
)

_CANDIDATES = (
    sa.select(_delivery.c.id, _delivery.c.payload)
    .join(_lane, _lane.c.id == _delivery.c.lane_id)
    .join(
        _attempt,
        (_attempt.c.delivery_id == _delivery.c.id) & (_attempt.c.number == _delivery.c.attempts),
    )
    .where(
        _UNANSWERED,
        _attempt.c.started_at >= sa.bindparam("since"),
        _delivery.c.destination == sa.bindparam("destination"),
        _delivery.c.confirmed_by.is_(None),
        _lane.c.customer == sa.bindparam("customer"),
    )
)

_uncertain = _delivery.c.status == Status.UNCERTAIN.value

_CONFIRM = (
    sa.update(_delivery)
    .where(_delivery.c.id == sa.bindparam("delivery_id"), _UNANSWERED)  # it may be answered by now
    .values(
        confirmed_by=sa.bindparam("by_event_id"),
        status=sa.case((_uncertain, Status.DELIVERED.value), else_=_delivery.c.status),
        reason=sa.case((_uncertain, DeliveredReason.CONFIRMED.value), else_=_delivery.c.reason),
        settled_at=sa.case(
            (_uncertain, sa.bindparam("now", type_=sa.Double)), else_=_delivery.c.settled_at
        ),
    )
)


def confirm(
    connection: sa.Connection, shown: Mapping[int, Confirmation | None], now: float
) -> None:
    """Mark as delivered what new events, by their ids, show to have been processed.

    Only where there is no doubt: one delivery of the customer without an answer, sent not long
    ago, and that very payload. Of two that are equal, nobody knows which one is meant.
    """
    for event_id, confirmation in sorted(shown.items()):
        if confirmation is None:
            continue
        sent = {
            "destination": confirmation.destination,
            "customer": confirmation.customer,
            "since": now - PROMPT,
        }
        found = [
            row.id
            for row in connection.execute(_CANDIDATES, sent)
            if json_codec.loads(row.payload) == confirmation.fields
        ]
        if len(found) == 1:
            connection.execute(
                _CONFIRM, {"delivery_id": found[0], "by_event_id": event_id, "now": now}
            )
