"""`@omit` sends an object without some of its keys. What is no object stays as it is.

`address.city` is a key inside another, and also a single key that is called so; a list on the
way, or in place of the object, has each of its items treated alike.
"""

import re

from destination.mapping.argument_types import (
    VALUE_SCHEMA,
    AnyValue,
    ArgumentType,
    Field,
    Fields,
    FixedText,
    JsonSchema,
    Values,
)
from destination.mapping.arguments import Argument, Resolve
from destination.mapping.bounds import check_depth, spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import LONGEST_PATH, parse_path
from destination.support.text import kind

#: The keys to leave out, each with those to leave out below it; None is for the whole of it.
KeyTree = dict[str, "KeyTree | None"]


class KeyList(ArgumentType[KeyTree]):
    """A list of keys, none of which is a path of the event: `["email", "address.city"]`."""

    def read(self, argument: Argument) -> KeyTree:
        if not isinstance(argument.value, list) or not argument.value:
            found = "an empty one" if argument.value == [] else kind(argument.value)
            raise argument.fault(f"a list of keys belongs here, not {found}")
        keys: KeyTree = {}
        for each in argument.items(argument.value):
            key = _key(each)
            keys[key] = None
            *outer, last = parse_path(key)
            inside: KeyTree | None = keys
            for name in outer:
                inside = inside.setdefault(name, {}) if inside is not None else None
            if inside is not None:
                inside[last] = None
        return keys

    def schema(self) -> JsonSchema:
        return VALUE_SCHEMA


def _key(argument: Argument) -> str:
    found = FixedText(1, LONGEST_PATH).read(argument)
    if found.startswith("$."):
        raise argument.fault("a key is written as it stands inside the value, without $.")
    if re.search(r"\[[0-9]", found):
        raise argument.fault("a list's items are treated alike: leave the [number] out")
    if not parse_path(found):
        raise argument.fault(f'"{found}" names no key')
    return found


VALUE = Field("value", AnyValue())
KEYS = Field("keys", KeyList())


def _build(values: Values) -> Resolve:
    resolve, keys = values[VALUE], values[KEYS]
    return lambda payload: _without(resolve(payload), keys, 0)


def _without(found: object, keys: KeyTree, depth: int) -> object:
    if not isinstance(found, dict | list):
        return found
    check_depth(depth)
    spend(len(found))
    if isinstance(found, list):
        return [_without(item, keys, depth + 1) for item in found]
    kept = {}
    for key, item in found.items():
        inside = keys.get(key, {})
        if inside is not None:
            kept[key] = _without(item, inside, depth + 1) if inside else item
    return kept


OMIT = Directive(
    name="@omit",
    shape='{"@omit": {"value": …, "keys": ["email", "phone"]}}',
    order=220,
    takes=Fields(VALUE, KEYS),
    build=_build,
    ours=True,
)
