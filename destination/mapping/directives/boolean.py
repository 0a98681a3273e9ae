"""`@boolean` reads the texts `true` and `false` as booleans; in an object, those of its values.

Segment's journeys send a membership as a text where audiences send a boolean. Anything else
stays as it is: a customer may be called True.
"""

from destination.mapping.argument_types import AnyValue, Field, Fields, Values
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive

VALUE = Field("value", AnyValue())


def _build(values: Values) -> Resolve:
    resolve = values[VALUE]

    def run(payload: object) -> object:
        found = resolve(payload)
        if not isinstance(found, dict):
            return _boolean(found)
        spend(len(found))
        return {key: _boolean(item) for key, item in found.items()}

    return run


def _boolean(found: object) -> object:
    return found == "true" if found in ("true", "false") else found


BOOLEAN = Directive(
    name="@boolean",
    shape='{"@boolean": {"value": {"@path": "$.traits"}}}',
    order=240,
    takes=Fields(VALUE),
    build=_build,
    ours=True,
)
