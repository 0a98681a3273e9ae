"""Paths that lead nowhere: a mapping asks for what no event among some examples has.

Such a path is likely to be a typing error, of which no other check can know: `$.properties.totl`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from destination.errors import MappingFailed
from destination.mapping.arguments import is_directive
from destination.mapping.bounds import Where
from destination.mapping.compiler import compile_mapping
from destination.mapping.directives import liquid, template
from destination.mapping.lint import comparisons
from destination.mapping.paths import parse_path
from destination.mapping.triggers import parse_trigger
from destination.support.text import nearest

Keys = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """A path that no event has."""

    #: As it is written: `$.properties.totl` in a field, `properties.totl` in a trigger.
    path: str
    #: The nearest path that an event has, written likewise.
    near: str | None
    #: From the file's root: `("fields", "metadata", "@path")`.
    where: Where
    #: In a trigger, how many characters stand before it.
    offset: int | None = None


class Seen:
    """Every path that some events have. One place of a list stands for all: `products[0].sku`."""

    def __init__(self, events: Sequence[Any]) -> None:
        self.events = events
        self._paths: set[Keys] = {()}
        waiting: list[tuple[Keys, Any]] = [((), event) for event in events]
        while waiting:
            keys, value = waiting.pop()
            self._paths.add(keys)
            if isinstance(value, dict):
                waiting += [((*keys, key), inner) for key, inner in value.items()]
            elif isinstance(value, list):
                waiting += [((*keys, "0"), inner) for inner in value]

    def has(self, keys: Keys) -> bool:
        """Whether an event has this path. A key with a dot in it may be two: see parse_path."""
        places = tuple("0" if key.isdigit() else key for key in keys)
        return places in self._paths or tuple(".".join(places).split(".")) in self._paths

    def near(self, keys: Keys) -> Keys | None:
        """The path that is likely to be meant: each key put right in its place, or the same
        last key in another one.
        """
        found: Keys = ()
        for key in keys:
            beside = {path[-1] for path in self._paths if path and path[:-1] == found}
            right = "0" if key.isdigit() and "0" in beside else nearest(key, sorted(beside))
            if right is None:
                break
            found = (*found, right)
        else:
            return found
        elsewhere = [path for path in self._paths if path[-1:] == keys[-1:]]
        return min(elsewhere, key=lambda path: (len(path), path), default=None)


def unmatched(trigger: str, values: Mapping[str, Any], seen: Seen) -> Iterator[Unmatched]:
    """Each path of a mapping that compiles and that no event has, once, as the file has them.

    `values` are the other keys of the file that hold paths, written out as `expand` does it.
    """
    told: set[Keys] = set()
    for one in comparisons(parse_trigger(trigger)):
        if not seen.has(one.keys) and one.keys not in told:
            told.add(one.keys)
            offset = trigger.index(one.keys[0], one.span[0])
            yield _told(one.keys, seen, ("trigger",), offset=offset)
    for keys, known, where, start in _paths(values, seen, ()):
        if known.events and not known.has(keys) and keys not in told:
            told.add(keys)
            yield _told(keys, known, where, start=start)


def _told(
    keys: Keys, seen: Seen, where: Where, *, start: str = "", offset: int | None = None
) -> Unmatched:
    near = seen.near(keys)
    return Unmatched(
        path=start + _written(keys),
        near=None if near is None else start + _written(near),
        where=where,
        offset=offset,
    )


#: The directives whose argument is a text with paths in it: how a path begins there.
_TEXTS: dict[str, tuple[str, Callable[[str], list[Keys]]]] = {
    "@path": ("$.", lambda text: [parse_path(text.removeprefix("$."))]),
    "@template": ("", template.paths_of),
    "@liquid": ("", liquid.paths_of),
}


def _paths(value: Any, seen: Seen, where: Where) -> Iterator[tuple[Keys, Seen, Where, str]]:
    """Each path of a value, what it is looked for in, where it stands and how it begins."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, seen, (*where, index))
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        here = (*where, key)
        match inner:
            case str() if key in _TEXTS and is_directive(value):
                start, paths_of = _TEXTS[key]
                for keys in paths_of(inner):
                    yield keys, seen, here, start
            case [path, *shape] if key == "@arrayPath":
                path = {"@path": path} if isinstance(path, str) else path
                yield from _paths(path, seen, (*here, 0))
                yield from _paths(shape[0] if shape else None, _items(path, seen), (*here, 1))
            case {"apply": apply, "mapping": mapping} if key == "@transform":
                yield from _paths(apply, seen, (*here, "apply"))
                yield from _paths(mapping, Seen(_made(apply, seen)), (*here, "mapping"))
            case _:
                yield from _paths(inner, seen, here)


def _made(mapping: Any, seen: Seen) -> list[Any]:
    """What a part of a mapping makes of the events that it can work with."""
    run, made = compile_mapping(mapping), []
    for event in seen.events:
        try:
            made.append(run(event))
        except MappingFailed:
            continue
    return made


def _items(path: Any, seen: Seen) -> Seen:
    """What `@arrayPath` goes through: the items of a list, or an object in place of one."""
    found = _made(path, seen)
    lists = [each if isinstance(each, list) else [each] for each in found]
    return Seen([item for each in lists for item in each if isinstance(item, dict)])


def _written(keys: Keys) -> str:
    written = ""
    for key in keys:
        if key.isdigit():
            written += f"[{key}]"
        elif key.replace("_", "a").replace("-", "a").replace("$", "a").isalnum():
            written += f".{key}" if written else key
        else:
            written += f'["{key}"]'
    return written
