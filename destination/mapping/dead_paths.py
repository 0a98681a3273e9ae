"""Paths that lead nowhere: a mapping asks for what no event among some examples has.

Such a path is likely to be a typing error, of which no other check can know: `$.properties.totl`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from destination.errors import MappingFailed
from destination.mapping.argument_types import TextWithPaths
from destination.mapping.arguments import is_directive
from destination.mapping.bounds import Where
from destination.mapping.compiler import compile_mapping
from destination.mapping.directives import DIRECTIVES
from destination.mapping.directives.base import Stage
from destination.mapping.lint import comparisons
from destination.mapping.triggers import parse_trigger
from destination.support.text import nearest

Keys = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DeadPath:
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

    def __init__(self, events: Sequence[object]) -> None:
        self.events = events
        self._paths: set[Keys] = {()}
        waiting: list[tuple[Keys, object]] = [((), event) for event in events]
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


def dead_paths(trigger: str, values: Mapping[str, object], seen: Seen) -> Iterator[DeadPath]:
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
) -> DeadPath:
    near = seen.near(keys)
    return DeadPath(
        path=start + _written(keys),
        near=None if near is None else start + _written(near),
        where=where,
        offset=offset,
    )


def _paths(value: object, seen: Seen, where: Where) -> Iterator[tuple[Keys, Seen, Where, str]]:
    """Each path of a value, what it is looked for in, where it stands and how it begins."""
    for key, inner in _parts(value).items():
        here = (*where, key)
        directive = DIRECTIVES.get(str(key)) if is_directive(value) else None
        takes = directive.takes if directive else None
        if isinstance(takes, TextWithPaths) and isinstance(inner, str):
            for keys in takes.paths_in(inner):
                yield keys, seen, here, takes.path_start
        elif directive and directive.stage:
            yield from _paths_of_stage(directive.stage, _parts(inner), seen, here)
        else:
            yield from _paths(inner, seen, here)


def _paths_of_stage(
    stage: Stage, parts: dict[str | int, object], seen: Seen, where: Where
) -> Iterator[tuple[Keys, Seen, Where, str]]:
    """The same of a directive one of whose parts does not find the event, but what another part
    makes of it.
    """
    source = parts[stage.of]
    if isinstance(source, str):
        source = {"@path": source}
    yield from _paths(source, seen, (*where, stage.of))
    if stage.part in parts:
        made = _items(source, seen) if stage.each else _made(source, seen)
        yield from _paths(parts[stage.part], Seen(made), (*where, stage.part))


def _parts(value: object) -> dict[str | int, object]:
    """What stands in an object or a list, by its key or place."""
    if isinstance(value, list):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


def _made(mapping: object, seen: Seen) -> list[object]:
    """What a part of a mapping makes of the events that it can work with."""
    run, made = compile_mapping(mapping), []
    for event in seen.events:
        try:
            made.append(run(event))
        except MappingFailed:
            continue
    return made


def _items(mapping: object, seen: Seen) -> list[object]:
    """The items of the lists that it makes, or an object that it makes in place of one."""
    lists = [each if isinstance(each, list) else [each] for each in _made(mapping, seen)]
    return [item for each in lists for item in each if isinstance(item, dict)]


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
