"""The short way to write a mapping: `$.traits.email` is a path, `Hi {{event}}` a template."""

from typing import Any

from destination.mapping.arguments import is_directive
from destination.mapping.bounds import check_size
from destination.mapping.templates import has_places

#: The fields of a directive's argument in which a value may stand. All others are words and
#: texts of the directive's own, in which nothing is short for something.
_VALUES = {
    "@if": ("exists", "blank", "then", "else"),
    "@case": ("value",),
    "@replace": ("value",),
    "@json": ("value",),
    "@flatten": ("value",),
    "@merge": ("objects",),
    "@transform": ("apply", "mapping"),
}

#: Their argument means what it says, texts in it included.
_AS_WRITTEN = ("@literal", "@liquid")

#: A text that is their whole argument is theirs; a directive in its place is a value.
_TAKES_TEXT = ("@path", "@template")


def expand(value: Any) -> Any:
    """Write a mapping out in Segment's form, wherever a value may stand.

    A text that begins with `$.` becomes a `@path`, one with `{{ }}` a `@template`, and anything
    else stays itself. What is given is not changed. To send such a text as it stands, write it
    as a `@literal`.

    Raises InvalidMapping if the mapping is too large or nested too deep.
    """
    check_size(value)
    return _expanded(value)


def _expanded(value: Any) -> Any:
    if isinstance(value, str):
        if value.startswith("$."):
            return {"@path": str(value)}
        return {"@template": str(value)} if has_places(value) else value
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if is_directive(value):
        return {key: _argument(key, inner) for key, inner in value.items()}
    if isinstance(value, dict):
        return {key: _expanded(inner) for key, inner in value.items()}
    return value


def _argument(directive: Any, argument: Any) -> Any:
    if directive in _TAKES_TEXT:
        return argument if isinstance(argument, str) else _expanded(argument)
    if directive == "@excludeWhenNull":
        return _expanded(argument)
    if directive == "@arrayPath" and isinstance(argument, list):
        path, shape = argument[:1], argument[1:]
        return [_argument("@path", each) for each in path] + [_expanded(each) for each in shape]
    if directive in _VALUES and isinstance(argument, dict):
        values = _VALUES[directive]
        return {key: _expanded(each) if key in values else each for key, each in argument.items()}
    return argument
