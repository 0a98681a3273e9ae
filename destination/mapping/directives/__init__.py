"""Every directive, one file each: a module of this folder that holds a `Directive` adds it."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from destination.mapping.arguments import is_directive
from destination.mapping.directives.base import Directive


def _found() -> dict[str, Directive[Any]]:
    """Find the directives of this folder's modules, by their names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [
        each for module in modules for each in vars(module).values() if isinstance(each, Directive)
    ]
    return {each.name: each for each in sorted(found, key=lambda each: each.order)}


#: By their names, in their order. Each takes an argument of a type of its own.
DIRECTIVES = _found()


def parted(value: object) -> tuple[Directive[Any] | None, object]:
    """Return the directive that a mapping's value is, and its argument: `(PATH, "$.event")`.

    For anything else, a directive that we do not know among it, that is None and the value.
    """
    if is_directive(value):
        for key, argument in value.items():
            if key in DIRECTIVES:
                return DIRECTIVES[str(key)], argument
    return None, value
