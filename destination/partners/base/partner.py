"""What a partner's module offers: by it the partner is found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from destination.partners.base.destination import Destination
from destination.partners.base.source import Source
from destination.settings.tables import Table

S = TypeVar("S", bound=Table)


@dataclass(frozen=True, kw_only=True)
class Partner(Generic[S]):
    """The value PARTNER of a partner's module, whose name is the partner's."""

    #: The table of its settings.
    settings: type[S]
    #: Makes the source of its settings; None where it sends us nothing.
    source: Callable[[S], Source] | None = None
    #: Makes the destination of its settings; None where it receives nothing.
    destination: Callable[[S], Destination] | None = None
