"""An argument is what a directive is given: read once, checked where it stands, never per event."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from destination.errors import InvalidMapping, MappingFailed
from destination.mapping.bounds import Where
from destination.support.text import did_you_mean, kind, listed

#: A compiled value: from the event to what is sent, or MISSING.
Resolve = Callable[[Any], Any]

#: Compiles whatever stands at a place of a mapping.
Compile = Callable[[Any, Where], Resolve]

#: The keys of an object, each with its compiled value.
Entries = list[tuple[str, Resolve]]

#: Beside a directive's name and its fields, Segment's editor keeps notes of its own here.
NOTES = "_metadata"


def is_directive(value: Any) -> bool:
    """Whether a mapping's value is an object with a name of a directive among its keys."""
    return isinstance(value, dict) and any(
        isinstance(key, str) and key.startswith("@") for key in value
    )


class Faults:
    """Gathers the faults of parts that are compiled one after the other.

    faults = Faults()
    for part in parts:
        with faults.gathered():
            compile(part)
    faults.check()
    """

    def __init__(self) -> None:
        self._found: list[InvalidMapping] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the faults of a part, so that those of the next are found too."""
        try:
            yield
        except InvalidMapping as fault:
            self._found += fault.every

    def check(self) -> None:
        """Raise InvalidMapping for the first fault, with the others behind it, if there is one."""
        if self._found:
            first, *others = self._found
            raise InvalidMapping(first.message, first.where, others=others) from first


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """The argument of a directive, or one field of it."""

    #: `@replace`
    directive: str
    #: What to write instead of a faulty one: `{"@replace": {"value": …, "pattern": "-"}}`
    shape: str
    value: Any
    where: Where
    #: Compiles a value that stands inside.
    compile: Compile

    def fault(self, message: str) -> InvalidMapping:
        """Return the error that names this place and shows how the directive is written."""
        return InvalidMapping(f"{message}. Write {self.shape}", self.where)

    def inner(self, key: str | int) -> "Argument":
        """Return the part of this argument under a key or at a place."""
        return replace(self, value=self.value[key], where=(*self.where, key))

    def fields(
        self, required: Mapping[str, "Reader"], optional: Mapping[str, "Reader"]
    ) -> dict[str, Any]:
        """Read an argument that is an object, each field by its own reader, as written.

        Raises InvalidMapping if it is no object, lacks a field, or has one that is unknown or
        faulty: for all of them at once.
        """
        if not isinstance(self.value, dict):
            raise self.fault(f"{self.directive} takes an object, not {kind(self.value)}")
        faults = Faults()
        lacking = [f'"{name}"' for name in required if name not in self.value]
        with faults.gathered():
            if lacking:
                raise self.fault(f"{self.directive} needs {listed(lacking)}")
        readers = {**required, **optional}
        found = {}
        for name in self.value:
            with faults.gathered():
                if name in readers:
                    found[name] = readers[name](self.inner(name))
                elif name != NOTES:
                    hint = did_you_mean(str(name), readers)
                    message = f'{self.directive} has no "{name}". {hint}'
                    raise InvalidMapping(message, (*self.where, str(name)))
        faults.check()
        return found


#: Reads one field of an argument, and raises InvalidMapping if it is not what it should be.
Reader = Callable[[Argument], Any]


def compile_entries(found: dict[Any, Any], where: Where, compile_value: Compile) -> Entries:
    """Compile the values of a plain object, in the order in which they are written."""
    entries = []
    faults = Faults()
    for key, inner in found.items():
        with faults.gathered():
            if not isinstance(key, str):
                message = f'a key is a text: write "{key}" in quotes'
                raise InvalidMapping(message, (*where, str(key)))
            entries.append((key, compile_value(inner, (*where, key))))
    faults.check()
    return entries


def value(argument: Argument) -> Resolve:
    """Read any value: a constant, an object, a list or a directive."""
    return argument.compile(argument.value, argument.where)


def text_or_directive(argument: Argument) -> Resolve:
    """Read a value that is a text, or a directive that makes one of the event."""
    if isinstance(argument.value, str) or is_directive(argument.value):
        return value(argument)
    raise argument.fault(f"a text or a directive belongs here, not {_shown(argument.value)}")


@dataclass(frozen=True)
class Text:
    """Reads a text that is fixed in the mapping."""

    shortest: int
    longest: int

    def __call__(self, argument: Argument) -> str:
        found = argument.value
        if not isinstance(found, str):
            raise argument.fault(f"a text belongs here, not {_shown(found)}")
        if not self.shortest <= len(found) <= self.longest:
            limit = f"{self.longest:,}"
            size = f"{self.shortest} to {limit}" if self.shortest else f"at most {limit}"
            raise argument.fault(f"{size} characters belong here, not {len(found)}")
        return found


def flag(argument: Argument) -> bool:
    """Read true or false."""
    if not isinstance(argument.value, bool):
        raise argument.fault(f"true or false belongs here, not {_shown(argument.value)}")
    return argument.value


def number(argument: Argument) -> float:
    """Read a number that is fixed in the mapping."""
    found = argument.value
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise argument.fault(f"a number belongs here, not {_shown(found)}")
    return found


@dataclass(frozen=True)
class Whole:
    """Reads a whole number that is fixed in the mapping."""

    least: int
    most: int

    def __call__(self, argument: Argument) -> int:
        found = argument.value
        if isinstance(found, bool) or not isinstance(found, int):
            raise argument.fault(f"a whole number belongs here, not {_shown(found)}")
        if not self.least <= found <= self.most:
            raise argument.fault(f"{self.least} to {self.most} belongs here, not {found}")
        return found


def whole(least: int, most: int) -> Reader:
    """Return the reader of a whole number that is fixed in the mapping."""
    return Whole(least, most)


@dataclass(frozen=True)
class Choice:
    """Reads one of a few words."""

    words: tuple[str, ...]

    def __call__(self, argument: Argument) -> str:
        found = argument.value
        if not isinstance(found, str) or found not in self.words:
            shown = f'"{found}"' if isinstance(found, str) else _shown(found)
            raise argument.fault(f"{listed(self.words, 'or')} belongs here, not {shown}")
        return found


def text(shortest: int, longest: int) -> Reader:
    """Return the reader of a text that is fixed in the mapping."""
    return Text(shortest, longest)


def choice(*words: str) -> Reader:
    """Return the reader of one of a few words."""
    return Choice(words)


def compile_text(argument: Argument, build: Callable[[str], Resolve]) -> Resolve:
    """Compile a directive whose whole argument is a text, or a directive that makes one.

    `build` compiles the text, and raises ValueError with a sentence if it cannot be read:
    a fixed text is a fault of the mapping, one that an event brings makes the run fail.
    """
    if isinstance(argument.value, str):
        try:
            return build(argument.value)
        except ValueError as error:
            raise InvalidMapping(str(error), argument.where) from error
    text_of = text_or_directive(argument)

    def run(payload: Any) -> Any:
        found = text_of(payload)
        if not isinstance(found, str):
            raise run_fault(argument, f"a text is needed, and the event gives {kind(found)}")
        try:
            resolve = build(found)
        except ValueError:
            # What is wrong with it would show the event's data.
            raise run_fault(argument, "the text that the event gives cannot be read") from None
        return resolve(payload)

    return run


def run_fault(argument: Argument, message: str) -> MappingFailed:
    """Return the error of a directive that cannot work with one event."""
    place = ".".join(str(key) for key in argument.where)
    return MappingFailed(f"{place}: {message}")


def _shown(found: Any) -> str:
    return "a directive" if is_directive(found) else kind(found)
