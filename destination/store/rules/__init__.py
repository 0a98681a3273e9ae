"""Rules that need to know what is kept: each looks at new events before they are queued.

A rule lets each delivery stay, changes it, or puts a discard in its place. The rules run in one
transaction with what they decide; `queue.enqueue` says in which order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from destination.model.arrival import Arrival
from destination.store.database import Database

#: Events with what becomes of each: `[(event id, arrival), …]`.
Routed = Sequence[tuple[int, Arrival]]


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """What a rule works with: the transaction in which new events are decided upon and queued."""

    database: Database
    connection: sa.Connection
    #: When the transaction's events were received, in seconds since 1970 UTC.
    now: float


class Rule(Protocol):
    """What every rule is: given what routing made of events, it returns what is to be stored."""

    def __call__(self, context: RuleContext, routed: Routed, /) -> Routed: ...
