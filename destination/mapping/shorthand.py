"""The short way to write a mapping: `$.traits.email` is a path, `Hi {{event}}` a template."""

from collections.abc import Callable
from typing import overload

from destination.mapping.arguments import is_directive
from destination.mapping.bounds import check_size
from destination.mapping.directives import DIRECTIVES
from destination.mapping.directives.template import has_places


@overload
def expand(value: dict[str, object]) -> dict[str, object]: ...
@overload
def expand(value: object) -> object: ...
def expand(value: object) -> object:
    """Write a mapping out in Segment's form, wherever a value may stand.

    A text that begins with `$.` becomes a `@path`, one with `{{ }}` a `@template`, and anything
    else stays as it is. What is given is not changed.

    Raises InvalidMapping if the mapping is too large or nested too deep.
    """
    check_size(value)
    return _expanded(value)


@overload
def shorten(value: dict[str, object]) -> dict[str, object]: ...
@overload
def shorten(value: object) -> object: ...
def shorten(value: object) -> object:
    """Write a mapping in Segment's form the short way. `expand` makes the same mapping of it.

    A text that Segment sends as it stands becomes a `@literal` where it is short for something
    here. What is given is not changed.

    Raises InvalidMapping if the mapping is too large or nested too deep.
    """
    check_size(value)
    return _shortened(value)


def _expanded(value: object) -> object:
    if isinstance(value, str):
        if value.startswith("$."):
            return {"@path": str(value)}
        return {"@template": str(value)} if has_places(value) else value
    return _inside(value, _expanded)


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return value if _expanded(value) == value else {"@literal": value}
    if is_directive(value) and len(value) == 1:
        [argument] = value.values()
        if isinstance(argument, str) and _expanded(argument) == value:
            return argument
    return _inside(value, _shortened)


def _inside(value: object, change: Callable[[object], object]) -> object:
    """Change the values that stand in a list, an object or a directive."""
    if isinstance(value, list):
        return [change(item) for item in value]
    if is_directive(value):
        return {key: _argument(key, inner, change) for key, inner in value.items()}
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    return value


def _argument(name: object, argument: object, change: Callable[[object], object]) -> object:
    """Change the values of a directive's argument. In one that we do not know, we see none."""
    directive = DIRECTIVES.get(str(name))
    return directive.takes.rewrite(argument, change) if directive else argument
