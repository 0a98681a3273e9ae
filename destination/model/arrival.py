"""An arrival is one call with what becomes of it, before it is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import is_
from typing import NamedTuple

from destination.model.delivery import Confirmation, Delivery, Discard


class Outcome(StrEnum):
    """What became of a call, as its sender is told."""

    ACCEPTED = "accepted"  # it made a delivery at least
    DUPLICATE = "duplicate"  # it is here already: nothing changed
    DISCARDED = "discarded"  # it made none, for a reason


class CountedOutcome(NamedTuple):
    """What became of a call or a delivery, as a command counts it: `discarded`, `id_required`."""

    outcome: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a sender is told of one call."""

    message_id: str
    outcome: Outcome
    reason: str | None = None
    #: The reason, in words.
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One call with what becomes of it."""

    source: str
    message_id: str
    #: The call as JSON text, or as it arrived where it could not be read.
    call: str
    type: str | None = None
    name: str | None = None
    user_id: str | None = None
    timestamp: float | None = None
    deliveries: tuple[Delivery, ...] = ()
    discards: tuple[Discard, ...] = ()
    #: What it shows to have been processed by an engine.
    confirms: Confirmation | None = None

    def apply(self, check: Callable[[Delivery], Delivery | Discard]) -> "Arrival":
        """The same, after each delivery was checked: it stays, changes, or becomes a discard."""
        results = [check(delivery) for delivery in self.deliveries]
        if all(map(is_, results, self.deliveries)):
            return self
        return replace(
            self,
            deliveries=tuple(result for result in results if isinstance(result, Delivery)),
            discards=(*self.discards, *(made for made in results if isinstance(made, Discard))),
        )
