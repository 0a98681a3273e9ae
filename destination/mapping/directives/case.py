"""`@case` writes a text in lower or upper case, and leaves anything else as it is."""

from destination.mapping.argument_types import Field, Fields, OneOf, TextValue, Values
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive

OPERATOR = Field("operator", OneOf("lower", "upper"))
VALUE = Field("value", TextValue())


def _build(values: Values) -> Resolve:
    resolve = values[VALUE]
    change = str.lower if values[OPERATOR] == "lower" else str.upper

    def run(payload: object) -> object:
        found = resolve(payload)
        if not isinstance(found, str):
            return found
        spend(len(found))
        return change(found)

    return run


CASE = Directive(
    name="@case",
    shape='{"@case": {"operator": "lower", "value": …}}',
    order=50,
    takes=Fields(OPERATOR, VALUE),
    build=_build,
)
