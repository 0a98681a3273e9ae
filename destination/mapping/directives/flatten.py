"""`@flatten` makes `{"a.b": 1}` of `{a: {b: 1}}`; of lists too, unless `omitArrays` is true.

Empty objects and lists vanish, and of two values with one name the later stays.
"""

from collections.abc import Iterable, Iterator

from destination.mapping.argument_types import (
    AnyValue,
    Field,
    Fields,
    FixedFlag,
    FixedText,
    Values,
)
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import check_depth, spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING

VALUE = Field("value", AnyValue())
SEPARATOR = Field("separator", FixedText(1, 100))
OMIT_ARRAYS = Field("omitArrays", FixedFlag(), default=False)


def _build(values: Values) -> Resolve:
    resolve, separator = values[VALUE], values[SEPARATOR]
    lists = not values[OMIT_ARRAYS]

    def run(payload: object) -> dict[str, object]:
        return dict(_leaves(resolve(payload), "", separator, lists=lists, depth=0))

    return run


def _leaves(
    found: object, name: str, separator: str, *, lists: bool, depth: int
) -> Iterator[tuple[str, object]]:
    """Go through a value's leaves: the name of each, put together from its keys, and its value."""
    inner: Iterable[tuple[object, object]]
    if isinstance(found, dict):
        inner = list(found.items())
    elif isinstance(found, list) and lists:
        inner = list(enumerate(found))
    else:
        if found is not MISSING:
            spend(len(name))
            yield name, found
        return
    check_depth(depth)
    for key, item in inner:
        path = f"{name}{separator}{key}" if name else str(key)
        yield from _leaves(item, path, separator, lists=lists, depth=depth + 1)


FLATTEN = Directive(
    name="@flatten",
    shape='{"@flatten": {"value": …, "separator": "_"}}',
    order=90,
    takes=Fields(VALUE, SEPARATOR, OMIT_ARRAYS),
    build=_build,
    makes={},
)
