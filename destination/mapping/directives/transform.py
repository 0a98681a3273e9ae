"""`@transform` works in two steps: `mapping` is run on what `apply` makes of the event."""

from destination.mapping.argument_types import Field, Fields, ObjectValue, Values
from destination.mapping.arguments import Resolve
from destination.mapping.directives.base import Cost, Directive, Stage

APPLY = Field("apply", ObjectValue())
MAPPING = Field("mapping", ObjectValue())


def _build(values: Values) -> Resolve:
    apply, mapping = values[APPLY], values[MAPPING]
    return lambda payload: mapping(apply(payload))


TRANSFORM = Directive(
    name="@transform",
    shape='{"@transform": {"apply": {…}, "mapping": {…}}}',
    order=110,
    takes=Fields(APPLY, MAPPING),
    build=_build,
    cost=Cost.THE_PAYLOAD,
    stage=Stage(part="mapping", of="apply"),
)
