"""A filter chooses among what is kept: the same for listing, resolving and replaying."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from destination.model.delivery import Status
from destination.store import schema

Condition = sa.ColumnExpressionArgument[bool]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is left out chooses all."""

    ids: Sequence[int] = ()
    status: Status | None = None
    source: str | None = None
    message_id: str | None = None
    destination: str | None = None
    mapping: str | None = None
    reason: str | None = None
    customer: str | None = None
    #: Made at this time or later, and before that one: seconds since 1970 UTC.
    since: float | None = None
    until: float | None = None

    def events(self) -> list[Condition]:
        """What an event must fulfil to be chosen."""
        table = schema.event
        return [*self._of_call(), *self._made(table.c.id, table.c.received_at)]

    def deliveries(self) -> list[Condition]:
        """What a delivery must fulfil to be chosen."""
        table = schema.delivery
        conditions = [*self._made(table.c.id, table.c.created_at), *self._of_mapping(table)]
        if self.status:
            conditions.append(table.c.status == self.status.value)
            if self.status is not Status.DELIVERED:
                conditions.append(schema.OPEN)  # they have an index of their own
        if self.customer is not None:
            lanes = sa.select(schema.lane.c.id).where(schema.lane.c.customer == self.customer)
            conditions.append(table.c.lane_id.in_(lanes))
        return conditions

    def discards(self) -> list[Condition]:
        """What a discard must fulfil to be chosen."""
        table = schema.discard
        return [*self._made(table.c.id, table.c.at), *self._of_mapping(table)]

    def _of_call(self) -> list[Condition]:
        wanted = {schema.event.c.source: self.source, schema.event.c.message_id: self.message_id}
        return [column == value for column, value in wanted.items() if value is not None]

    def _of_mapping(self, table: sa.Table) -> list[Condition]:
        wanted = {
            table.c.destination: self.destination,
            table.c.mapping: self.mapping,
            table.c.reason: self.reason,
        }
        found: list[Condition] = [c == value for c, value in wanted.items() if value is not None]
        if of_call := self._of_call():
            found.append(table.c.event_id.in_(sa.select(schema.event.c.id).where(*of_call)))
        return found

    def _made(self, number: sa.Column[int], moment: sa.Column[float]) -> list[Condition]:
        conditions: list[Condition] = [number.in_(self.ids)] if self.ids else []
        if self.since is not None:
            conditions.append(moment >= self.since)
        if self.until is not None:
            conditions.append(moment < self.until)
        return conditions


#: Chooses all.
EVERYTHING = Filter()
