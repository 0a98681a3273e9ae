"""`@literal` sends a text as it stands, even if it looks like a path or a template."""

from destination.mapping.argument_types import AnyValue
from destination.mapping.directives.base import Cost, Directive, as_read


class LiteralValue(AnyValue):
    """Any value, in which nothing is short for something."""

    is_value = False


LITERAL = Directive(
    name="@literal",
    shape='{"@literal": "$.sent as it stands"}',
    order=30,
    takes=LiteralValue(),
    build=as_read,
    literal=True,
    cost=Cost.NOTHING,
)
