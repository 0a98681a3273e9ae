"""The short way to write a mapping: `$.traits.email` is a path, `Hi {{event}}` a template."""

from collections.abc import Callable
from typing import Any

from destination.mapping.arguments import is_directive
from destination.mapping.bounds import check_size
from destination.mapping.directives.template import has_places

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
    "@hash": ("value",),
    "@omit": ("value",),
    "@number": ("value",),
    "@boolean": ("value",),
}

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


def shorten(value: Any) -> Any:
    """Write a mapping in Segment's form the short way: what `expand` gives back, and no more.

    A text that Segment sends as it stands, and that is short for something here, becomes a
    `@literal`. What is given is not changed.

    Raises InvalidMapping if the mapping is too large or nested too deep.
    """
    check_size(value)
    return _shortened(value)


def _expanded(value: Any) -> Any:
    if isinstance(value, str):
        if value.startswith("$."):
            return {"@path": str(value)}
        return {"@template": str(value)} if has_places(value) else value
    return _inside(value, _expanded)


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if _expanded(value) == value else {"@literal": value}
    if is_directive(value) and len(value) == 1:
        [argument] = value.values()
        if isinstance(argument, str) and _expanded(argument) == value:
            return argument
    return _inside(value, _shortened)


def _inside(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change the values that stand in a list, an object or a directive."""
    if isinstance(value, list):
        return [change(item) for item in value]
    if is_directive(value):
        return {key: _argument(key, inner, change) for key, inner in value.items()}
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    return value


def _argument(directive: Any, argument: Any, change: Callable[[Any], Any]) -> Any:
    """Change the values of a directive's argument. Those of `@literal` and `@liquid`, and of a
    directive that we do not know, mean what they say.
    """
    if directive in _TAKES_TEXT:
        return argument if isinstance(argument, str) else change(argument)
    if directive == "@excludeWhenNull":
        return change(argument)
    if directive == "@arrayPath" and isinstance(argument, list):
        path, shape = argument[:1], argument[1:]
        return [_argument("@path", each, change) for each in path] + [change(s) for s in shape]
    if directive in _VALUES and isinstance(argument, dict):
        values = _VALUES[directive]
        return {key: change(each) if key in values else each for key, each in argument.items()}
    return argument
