"""A dead path asks for what no example event has: `$.properties.totl`.

It is likely to be a typing error, and no other check finds it.
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
from destination.mapping.paths import Keys
from destination.mapping.triggers import parse_trigger
from destination.support.text import nearest


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
    """Every path that the example events have.

    The items of a list are not told apart: `products[0].sku` stands for each of them.
    """

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
        """Return whether an event has this path. A key with a dot may be two: see parse_path."""
        places = tuple("0" if key.isdigit() else key for key in keys)
        return places in self._paths or tuple(".".join(places).split(".")) in self._paths

    def near(self, keys: Keys) -> Keys | None:
        """Return the path that is likely to be meant, or None.

        It is the one with the nearest key at each place, or the shortest one with the same last
        key.
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
    """Yield each path of a mapping file that no event has: once, in the order of the file.

    The trigger and the values compile. `values` are the keys of the file that hold paths, such
    as `fields`, in Segment's form.
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
    """Each path of a directive one of whose parts is run on what another part makes.

    So its paths are looked for in that, and not in the events.
    """
    source = parts[stage.of]
    if isinstance(source, str):
        source = {"@path": source}  # as in @arrayPath: a fixed text would be no list
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
    """The objects in the lists that a part makes; an object in place of a list is its only item."""
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
