"""A directive is one value: its name, what it takes, how it compiles, and what others must know.

The editor's schema, lint, the short way, explaining and the search for dead paths derive from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from destination.mapping.argument_types import ArgumentType
from destination.mapping.arguments import Argument, Resolve
from destination.mapping.paths import MISSING

T = TypeVar("T")


class Cost(Enum):
    """What a directive can make of one event, and so what is counted while it runs."""

    #: Nothing that the event does not have, in the time that it takes to look it up.
    NOTHING = "nothing"
    #: Much out of little: it spends what it writes or reads through.
    ITS_OUTPUT = "its output"
    #: The same value again and again, which shares memory: the payload is counted as a whole.
    THE_PAYLOAD = "the payload"


class Traced(Enum):
    """How a trace tells of a directive."""

    #: `$.traits.name = "Ann" → @case = "ANN"`
    AS_A_STEP = "as a step"
    #: `$.traits.name = "Ann"`: a text that is its whole argument says it all.
    BY_ITS_TEXT = "by its text"
    #: `"Hi {{traits.name}}" = "Hi Ann"`, and the paths in its places are watched.
    BY_ITS_PLACES = "by its places"
    #: `@if exists $.event → $.event = "Order Completed"`: what it asked for, and what it took.
    BY_ITS_BRANCH = "by its branch"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of an argument that is run on what another part makes, in place of the event."""

    #: The field, or the place in a list: `mapping`.
    part: str | int
    #: The other part: `apply`.
    of: str | int
    #: Whether it is run on each item of what the other part makes.
    each: bool = False


@dataclass(frozen=True, kw_only=True)
class Directive(Generic[T]):
    """One instruction in a mapping's field: `{"@path": "$.traits.email"}`."""

    name: str
    #: How it is written, as messages and editors show it.
    shape: str
    #: Its place among all directives, on the page and in messages.
    order: int
    #: What stands behind its name.
    takes: ArgumentType[T]
    #: Compiles what `takes` has read.
    build: Callable[[T], Resolve]
    #: Not Segment's: a mapping that uses it works here, and cannot be copied back.
    ours: bool = False
    #: What it always makes, by an example. MISSING: that depends on the event.
    makes: object = MISSING
    #: Whether it stands for the value inside it, which is no path and no template.
    literal: bool = False
    cost: Cost = Cost.ITS_OUTPUT
    traced: Traced = Traced.AS_A_STEP
    stage: Stage | None = None

    def compile(self, argument: Argument) -> Resolve:
        """Compile an argument. Raises InvalidMapping if it is not what this directive takes."""
        return self.build(self.takes.read(argument))


def as_read(resolve: Resolve) -> Resolve:
    """Build a directive whose argument compiles to all that it does."""
    return resolve
