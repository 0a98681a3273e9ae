"""`@excludeWhenNull` drops null, also inside objects; inside lists it stays."""

from destination.mapping.argument_types import AnyValue
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import check_depth, spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING


def _build(resolve: Resolve) -> Resolve:
    def run(payload: object) -> object:
        found = resolve(payload)
        return MISSING if found is None else _without_null(found, 0)

    return run


def _without_null(found: object, depth: int) -> object:
    if not isinstance(found, dict):
        return found
    check_depth(depth)
    spend(len(found))
    return {key: _without_null(item, depth + 1) for key, item in found.items() if item is not None}


EXCLUDE_WHEN_NULL = Directive(
    name="@excludeWhenNull",
    shape='{"@excludeWhenNull": {"@path": "$.traits.email"}}',
    order=120,
    takes=AnyValue(),
    build=_build,
)
