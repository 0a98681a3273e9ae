"""`@merge` lays objects over one another; with `right` a later one wins, with `left` an earlier.

A missing value in an object that the mapping itself writes takes away what lies under it:
people leave a key out in this way. What is no object, such as null, adds nothing.
"""

from destination.mapping.argument_types import Field, Fields, ListOf, ObjectValue, OneOf, Values
from destination.mapping.arguments import Argument, Resolve, compile_entries, is_directive
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING


class ObjectToMerge(ObjectValue):
    """An object that keeps its missing values, or a directive that makes one."""

    def read(self, argument: Argument) -> Resolve:
        if not isinstance(argument.value, dict) or is_directive(argument.value):
            return super().read(argument)
        entries = compile_entries(argument.value, argument.where, argument.compile)
        return lambda payload: {key: resolve(payload) for key, resolve in entries}


OBJECTS = Field("objects", ListOf(ObjectToMerge(), "objects"))
DIRECTION = Field("direction", OneOf("left", "right"))


def _build(values: Values) -> Resolve:
    objects = values[OBJECTS]
    if values[DIRECTION] == "left":
        objects = objects[::-1]

    def run(payload: object) -> dict[str, object]:
        merged: dict[str, object] = {}
        for resolve in objects:
            found = resolve(payload)
            if isinstance(found, dict):
                spend(len(found))
                merged.update(found)
        return {key: item for key, item in merged.items() if item is not MISSING}

    return run


MERGE = Directive(
    name="@merge",
    shape='{"@merge": {"objects": [{…}, {…}], "direction": "right"}}',
    order=100,
    takes=Fields(OBJECTS, DIRECTION),
    build=_build,
    makes={},
)
