"""`@if` chooses between two values.

`exists` asks for a value that is not null; `blank`, despite its name, for one to be there. In
Segment's mapping kit `blank` takes `then` when the value is *not* blank, and people rely on it:
0, false, empty texts and empty lists count as blank beside null.
"""

from destination.mapping.argument_types import AnyValue, Field, Fields, Values
from destination.mapping.arguments import Argument, Resolve
from destination.mapping.directives.base import Cost, Directive, Traced
from destination.mapping.paths import MISSING


class TestedValue(AnyValue):
    """Any value but one that answers the question for every event."""

    def read(self, argument: Argument) -> Resolve:
        if argument.value in (None, False, ""):
            raise argument.fault("the same for every event, and an @if asks the event")
        return super().read(argument)


def _nothing(_: object) -> object:
    return MISSING


EXISTS = Field[Resolve | None]("exists", TestedValue(), default=None)
BLANK = Field[Resolve | None]("blank", TestedValue(), default=None)
THEN = Field("then", AnyValue(), default=_nothing)
ELSE = Field("else", AnyValue(), default=_nothing)


def _build(values: Values) -> Resolve:
    then, otherwise = values[THEN], values[ELSE]
    if exists := values[EXISTS]:

        def choose(payload: object) -> object:
            found = exists(payload)
            there = found is not None and found is not MISSING
            return then(payload) if there else otherwise(payload)

        return choose
    blank = values[BLANK] or _nothing
    return lambda payload: (otherwise if _is_blank(blank(payload)) else then)(payload)


def _is_blank(found: object) -> bool:
    if isinstance(found, list):
        while isinstance(found, list) and len(found) == 1:
            (found,) = found
        return found is None or found in ("", [])
    return not found and not isinstance(found, dict)


IF = Directive(
    name="@if",
    shape='{"@if": {"exists": {"@path": "$.event"}, "then": …, "else": …}}',
    order=40,
    takes=Fields(EXISTS, BLANK, THEN, ELSE, needs_one_of=("exists", "blank")),
    build=_build,
    cost=Cost.NOTHING,
    traced=Traced.BY_ITS_BRANCH,
)
