"""What a directive takes: the types of its argument and of the argument's fields.

Each type says once how it is read, how an editor checks it, and where values stand in it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from destination.errors import InvalidMapping
from destination.mapping.arguments import (
    NOTES,
    Argument,
    ErrorCollector,
    Resolve,
    compile_root,
    is_directive,
    run_fault,
    shown,
)
from destination.mapping.paths import MISSING, Keys, Missing
from destination.support.text import did_you_mean, kind, listed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: A JSON Schema.
JsonSchema = dict[str, object]

#: What the schema of a mapping file defines: any value, and one that is a directive.
VALUE_SCHEMA: JsonSchema = {"$ref": "#/definitions/value"}
DIRECTIVE_SCHEMA: JsonSchema = {"$ref": "#/definitions/directive"}

#: A text for which a path stands: anything but `$.` would be a constant.
PATH_PATTERN = r"^\$\."
OBJECT_SCHEMA: JsonSchema = {
    "allOf": [VALUE_SCHEMA, {"type": ["object", "string"], "pattern": PATH_PATTERN}]
}


class ArgumentType(ABC, Generic[T_co]):
    """What may be written as the argument of a directive, or as a field of it."""

    #: Whether a value of the mapping stands there, in which a text can be short for a directive.
    #: What is no value, such as a separator, is the directive's own.
    is_value = False

    @abstractmethod
    def read(self, argument: Argument) -> T_co:
        """Return what is written, compiled. Raises InvalidMapping if it is of another type."""

    @abstractmethod
    def schema(self) -> JsonSchema:
        """Return the JSON Schema by which an editor checks it."""

    def rewrite(self, written: object, change: Callable[[object], object]) -> object:
        """Return what is written with each value that stands in it changed."""
        return change(written) if self.is_value else written


class AnyValue(ArgumentType[Resolve]):
    """Any value: a constant, an object, a list or a directive."""

    is_value = True

    def read(self, argument: Argument) -> Resolve:
        return argument.compile(argument.value, argument.where)

    def schema(self) -> JsonSchema:
        return VALUE_SCHEMA


class TextValue(AnyValue):
    """A text, or a directive that makes one of the event."""

    def read(self, argument: Argument) -> Resolve:
        if isinstance(argument.value, str) or is_directive(argument.value):
            return super().read(argument)
        raise argument.fault(f"a text or a directive belongs here, not {shown(argument.value)}")

    def schema(self) -> JsonSchema:
        return {"if": {"type": "object"}, "then": DIRECTIVE_SCHEMA, "else": {"type": "string"}}


class ObjectValue(AnyValue):
    """An object with values in it, or a directive that makes one."""

    def read(self, argument: Argument) -> Resolve:
        if not isinstance(argument.value, dict):
            raise argument.fault(f"an object belongs here, not {kind(argument.value)}")
        return compile_root(argument.value, argument.where, argument.compile)

    def schema(self) -> JsonSchema:
        return OBJECT_SCHEMA


@dataclass(frozen=True)
class ListOf(ArgumentType[list[T]]):
    """A list whose items are all of one type: `ListOf(ObjectValue(), "objects")`."""

    item: ArgumentType[T]
    #: What the items are, in a message.
    plural: str

    def read(self, argument: Argument) -> list[T]:
        if not isinstance(argument.value, list):
            found = kind(argument.value)
            raise argument.fault(f"a list of {self.plural} belongs here, not {found}")
        items = []
        errors = ErrorCollector()
        for each in argument.items(argument.value):
            with errors.collected():
                items.append(self.item.read(each))
        errors.check()
        return items

    def schema(self) -> JsonSchema:
        return {"type": "array", "items": self.item.schema()}

    def rewrite(self, written: object, change: Callable[[object], object]) -> object:
        if not isinstance(written, list):
            return change(written)
        return [self.item.rewrite(each, change) for each in written]


class TextWithPaths(ArgumentType[Resolve]):
    """A text in which paths of the event stand."""

    #: How a path begins in it.
    path_start = ""

    @abstractmethod
    def paths_in(self, text: str) -> list[Keys]:
        """Return the paths of a text that compiles."""


@dataclass(frozen=True, kw_only=True)
class Expression(TextWithPaths):
    """A text in a language of its own, such as a path, or a directive that makes one.

    A fixed text that cannot be read is a fault of the mapping; one that a directive makes of an
    event makes the run fail.
    """

    #: Characters.
    longest: int
    #: Raises ValueError, with a sentence for the author, if the text cannot be read.
    compile: Callable[[str], Resolve]
    paths: Callable[[str], list[Keys]]
    path_start: str = ""

    def read(self, argument: Argument) -> Resolve:
        if isinstance(argument.value, str):
            try:
                return self.compile(argument.value)
            except ValueError as error:
                raise InvalidMapping(str(error), argument.where) from error
        text_of = TextValue().read(argument)

        def run(payload: object) -> object:
            found = text_of(payload)
            if not isinstance(found, str):
                raise run_fault(argument, f"a text is needed, and the event gives {kind(found)}")
            try:
                resolve = self.compile(found)
            except ValueError:
                # What is wrong with it would show the event's data.
                message = "the text that the event gives cannot be read"
                raise run_fault(argument, message) from None
            return resolve(payload)

        return run

    def schema(self) -> JsonSchema:
        short = {"type": "string", "maxLength": self.longest}
        return {"if": {"type": "object"}, "then": DIRECTIVE_SCHEMA, "else": short}

    def rewrite(self, written: object, change: Callable[[object], object]) -> object:
        return written if isinstance(written, str) else change(written)

    def paths_in(self, text: str) -> list[Keys]:
        return self.paths(text)


@dataclass(frozen=True)
class FixedText(ArgumentType[str]):
    """A text that is fixed in the mapping."""

    shortest: int
    longest: int

    def read(self, argument: Argument) -> str:
        found = argument.value
        if not isinstance(found, str):
            raise argument.fault(f"a text belongs here, not {shown(found)}")
        if not self.shortest <= len(found) <= self.longest:
            limit = f"{self.longest:,}"
            size = f"{self.shortest} to {limit}" if self.shortest else f"at most {limit}"
            raise argument.fault(f"{size} characters belong here, not {len(found)}")
        return found

    def schema(self) -> JsonSchema:
        return {"type": "string", "minLength": self.shortest, "maxLength": self.longest}


class FixedFlag(ArgumentType[bool]):
    """True or false."""

    def read(self, argument: Argument) -> bool:
        if not isinstance(argument.value, bool):
            raise argument.fault(f"true or false belongs here, not {shown(argument.value)}")
        return argument.value

    def schema(self) -> JsonSchema:
        return {"type": "boolean"}


class FixedNumber(ArgumentType[float]):
    """A number that is fixed in the mapping."""

    def read(self, argument: Argument) -> float:
        found = argument.value
        if (
            isinstance(found, bool)
            or not isinstance(found, int | float)
            or not math.isfinite(found)
        ):
            raise argument.fault(f"a number belongs here, not {shown(found)}")
        return found

    def schema(self) -> JsonSchema:
        return {"type": "number"}


@dataclass(frozen=True)
class FixedWhole(ArgumentType[int]):
    """A whole number that is fixed in the mapping."""

    least: int
    most: int

    def read(self, argument: Argument) -> int:
        found = argument.value
        if isinstance(found, bool) or not isinstance(found, int):
            raise argument.fault(f"a whole number belongs here, not {shown(found)}")
        if not self.least <= found <= self.most:
            raise argument.fault(f"{self.least} to {self.most} belongs here, not {found}")
        return found

    def schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class OneOf(ArgumentType[str]):
    """One of a few words: `OneOf("lower", "upper")`."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, argument: Argument) -> str:
        found = argument.value
        if not isinstance(found, str) or found not in self.words:
            what = f'"{found}"' if isinstance(found, str) else shown(found)
            raise argument.fault(f"{listed(self.words, 'or')} belongs here, not {what}")
        return found

    def schema(self) -> JsonSchema:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Field(Generic[T_co]):
    """A field of an argument: `Field("separator", FixedText(1, 100))`."""

    name: str
    type: ArgumentType[T_co]
    #: What it is where it is not written. MISSING: it must be written.
    default: T_co | Missing = MISSING

    @property
    def required(self) -> bool:
        """Whether it must be written."""
        return self.default is MISSING


class Values:
    """What the fields of one argument hold: `values[SEPARATOR]` is of SEPARATOR's type."""

    def __init__(self, found: dict[str, object]) -> None:
        self._found = found

    def __getitem__(self, field: Field[T]) -> T:
        return cast(T, self._found.get(field.name, field.default))


class Fields(ArgumentType[Values]):
    """An object with named fields: `Fields(VALUE, SEPARATOR)`."""

    def __init__(self, *fields: Field[object], needs_one_of: tuple[str, ...] = ()) -> None:
        """`needs_one_of` names optional fields of which at least one must be written."""
        self.fields = {field.name: field for field in fields}
        self.required = [field.name for field in fields if field.required]
        self.needs_one_of = needs_one_of

    def read(self, argument: Argument) -> Values:
        """Raises InvalidMapping if it is no object, lacks a field, or has one that is unknown
        or faulty: for all of them at once.
        """
        written = argument.value
        if not isinstance(written, dict):
            raise argument.fault(f"{argument.directive} takes an object, not {kind(written)}")
        errors = ErrorCollector()
        lacking = [f'"{name}"' for name in self.required if name not in written]
        with errors.collected():
            if lacking:
                raise argument.fault(f"{argument.directive} needs {listed(lacking)}")
        found = {}
        for name, value in written.items():
            with errors.collected():
                if name in self.fields:
                    found[name] = self.fields[name].type.read(argument.inner(name, value))
                elif name != NOTES:
                    hint = did_you_mean(str(name), self.fields)
                    message = f'{argument.directive} has no "{name}". {hint}'
                    raise InvalidMapping(message, (*argument.where, str(name)))
        errors.check()
        if self.needs_one_of and not found.keys() & set(self.needs_one_of):
            choice = listed((f'"{name}"' for name in self.needs_one_of), "or")
            raise argument.fault(f"{argument.directive} needs {choice}")
        return Values(found)

    def schema(self) -> JsonSchema:
        fields = {field.name: field.type.schema() for field in self.fields.values()}
        schema: JsonSchema = {
            "type": "object",
            "required": self.required,
            "properties": {**fields, NOTES: {}},
            "additionalProperties": False,
        }
        if self.needs_one_of:
            schema["anyOf"] = [{"required": [name]} for name in self.needs_one_of]
        return schema

    def rewrite(self, written: object, change: Callable[[object], object]) -> object:
        if not isinstance(written, dict):
            return written
        return {
            key: self.fields[key].type.rewrite(inner, change) if key in self.fields else inner
            for key, inner in written.items()
        }
