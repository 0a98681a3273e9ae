"""An argument is what a directive is given: read once, checked where it stands, never per event."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeGuard

from destination.errors import InvalidMapping, MappingFailed
from destination.mapping.bounds import Where
from destination.mapping.paths import MISSING
from destination.support.text import kind

#: A compiled value: from the event to what is sent, or MISSING.
Resolve = Callable[[object], object]

#: Compiles whatever stands at a place of a mapping.
Compile = Callable[[object, Where], Resolve]

#: The keys of an object, each with its compiled value.
Entries = list[tuple[str, Resolve]]

#: Beside a directive's name and its fields, Segment's editor keeps notes of its own here.
NOTES = "_metadata"

#: Segment's mappings may hold one directive that is applied before all fields.
_BEFORE_ALL = "__segment_internal_directive"


def is_directive(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a mapping's value is an object with a name of a directive among its keys."""
    return isinstance(value, dict) and any(
        isinstance(key, str) and key.startswith("@") for key in value
    )


class ErrorCollector:
    """Collects the errors of parts that are compiled one after the other.

    errors = ErrorCollector()
    for part in parts:
        with errors.collected():
            compile(part)
    errors.check()
    """

    def __init__(self) -> None:
        self._found: list[InvalidMapping] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the errors of a part, so that those of the next are found too."""
        try:
            yield
        except InvalidMapping as error:
            self._found += error.every

    def check(self) -> None:
        """Raise InvalidMapping for the first error, with the others behind it, if there is one."""
        if self._found:
            first, *others = self._found
            raise InvalidMapping(first.message, first.where, others=others) from first


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """The argument of a directive as it is written, or one field of it."""

    #: `@replace`
    directive: str
    #: What to write instead of a faulty one: `{"@replace": {"value": …, "pattern": "-"}}`
    shape: str
    value: object
    where: Where
    #: Compiles a value that stands inside.
    compile: Compile

    def fault(self, message: str) -> InvalidMapping:
        """Return the error that names this place and shows how the directive is written."""
        return InvalidMapping(f"{message}. Write {self.shape}", self.where)

    def inner(self, key: str | int, value: object) -> "Argument":
        """Return the part of this argument that stands under a key or at a place."""
        return replace(self, value=value, where=(*self.where, key))

    def items(self, found: list[object]) -> list["Argument"]:
        """Return each item of this argument's list."""
        return [self.inner(place, item) for place, item in enumerate(found)]


def compile_entries(found: dict[object, object], where: Where, compile_value: Compile) -> Entries:
    """Compile the values of a plain object, in the order in which they are written.

    Raises InvalidMapping at the first fault, with the others behind it.
    """
    entries = []
    errors = ErrorCollector()
    for key, inner in found.items():
        with errors.collected():
            if not isinstance(key, str):
                message = f'a key is a text: write "{key}" in quotes'
                raise InvalidMapping(message, (*where, str(key)))
            entries.append((key, compile_value(inner, (*where, key))))
    errors.check()
    return entries


def with_places(made: list[object]) -> list[object]:
    """Make a missing item null, so that those behind it keep their places, as at Segment."""
    return [None if item is MISSING else item for item in made]


def compile_root(mapping: object, where: Where, compile_value: Compile) -> Resolve:
    """Compile a whole mapping, or an object of fields that `@transform` applies as one.

    Raises InvalidMapping at the first fault, with the others behind it.
    """
    if not (isinstance(mapping, dict) and _BEFORE_ALL in mapping):
        return compile_value(mapping, where)
    match mapping[_BEFORE_ALL]:
        case {"@transform": {"apply": dict(apply)}}:
            inside = (*where, _BEFORE_ALL, "@transform", "apply")
            first = compile_root(apply, inside, compile_value)
        case _:
            raise InvalidMapping(
                f'{_BEFORE_ALL} takes {{"@transform": {{"apply": {{…}}}}}}', (*where, _BEFORE_ALL)
            )
    fields = {key: field for key, field in mapping.items() if key != _BEFORE_ALL}
    then = compile_value(fields, where)
    return lambda payload: then(first(payload))


def shown(found: object) -> str:
    """Name what stands in a mapping, without showing it: `a number`, `a directive`."""
    return "a directive" if is_directive(found) else kind(found)


def run_fault(argument: Argument, message: str) -> MappingFailed:
    """Return the error of a directive that cannot work with one event."""
    place = ".".join(str(key) for key in argument.where)
    return MappingFailed(f"{place}: {message}")
