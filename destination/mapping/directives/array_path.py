"""`@arrayPath` takes a list from the event and, if wanted, gives each of its items a shape."""

from collections.abc import Callable

from destination.mapping.argument_types import (
    OBJECT_SCHEMA,
    AnyValue,
    ArgumentType,
    JsonSchema,
    TextValue,
)
from destination.mapping.arguments import Argument, ErrorCollector, Resolve, with_places
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive, Stage, as_read
from destination.mapping.directives.path import PATH_TEXT
from destination.support.text import kind


class PathAndShape(ArgumentType[Resolve]):
    """A list of a path, or a directive that makes a list, and the shape of an item, if wanted."""

    def read(self, argument: Argument) -> Resolve:
        if not isinstance(argument.value, list):
            raise argument.fault(f"@arrayPath takes a list, not {kind(argument.value)}")
        if not 1 <= len(argument.value) <= 2:
            raise argument.fault("@arrayPath takes a path and, if wanted, the shape of an item")
        path, *shape = argument.items(argument.value)
        errors = ErrorCollector()
        with errors.collected():
            root = (PATH_TEXT if isinstance(path.value, str) else TextValue()).read(path)
        if not shape or shape[0].value in (None, {}):
            errors.check()
            return root
        with errors.collected():
            item = _shape(shape[0])
        errors.check()
        return _shaping(root, item)

    def schema(self) -> JsonSchema:
        items = [PATH_TEXT.schema(), OBJECT_SCHEMA]
        return {"type": "array", "items": items, "minItems": 1, "maxItems": 2}

    def rewrite(self, written: object, change: Callable[[object], object]) -> object:
        if not isinstance(written, list):
            return written
        return [PATH_TEXT.rewrite(each, change) for each in written[:1]] + [
            change(shape) for shape in written[1:]
        ]


def _shape(argument: Argument) -> Resolve:
    if not isinstance(argument.value, dict):
        raise argument.fault(f"the shape of an item is an object, not {kind(argument.value)}")
    return AnyValue().read(argument)


def _shaping(root: Resolve, item: Resolve) -> Resolve:
    def shape_items(payload: object) -> object:
        found = root(payload)
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            return found
        spend(len(found))
        return with_places([item(each) for each in found])

    return shape_items


ARRAY_PATH = Directive(
    name="@arrayPath",
    shape='{"@arrayPath": ["$.properties.products", {"sku": {"@path": "$.sku"}}]}',
    order=70,
    takes=PathAndShape(),
    build=as_read,
    stage=Stage(part=1, of=0, each=True),
)
