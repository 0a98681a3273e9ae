"""A path leads from an event to one of its values: `properties.products[0].price`."""

import re
from collections.abc import Callable, Sequence
from typing import Final

#: A path as its keys: `("properties", "products", "0", "price")`.
Keys = tuple[str, ...]

#: Follows a path through an event to a value, or to MISSING.
Read = Callable[[object], object]


class Missing:
    """What a path finds where there is nothing. It is not null: null is sent, this is dropped."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

#: Characters that a path may have.
LONGEST_PATH = 1_000

# A dot, a bracket that opens before a quote or a digit, and brackets that close after one.
# Any other bracket belongs to the key: `[txt] non` is one key.
_SEPARATOR = re.compile(r"""\[(?=["'0-9])|\.|(?<=["'0-9])\]+""")

# A key in quotes that has a dot in it: ["b.c"].
_QUOTED_DOT = re.compile(r"""\[("[^"\]]*\.[^"\]]*"|'[^'\]]*\.[^'\]]*')\]""")


class _Dotted(str):
    """A key with a dot in it, which Segment's mapping kit reads as two keys."""

    __slots__ = ()


def parse_path(text: str) -> Keys:
    """Divide a path into its keys, as Segment's mapping kit does; no keys mean the whole event.

    `a.b[0].c` and `a['b'][0].c` have the keys a, b, 0 and c. Quotes are never part of a key.
    """
    keys: list[str] = []
    for index, part in enumerate(_QUOTED_DOT.split(text)):
        if index % 2:
            keys.append(_Dotted(part[1:-1]))
        else:
            pieces = (piece for piece in _SEPARATOR.split(part) if piece)
            keys += [re.sub("['\"]", "", piece) for piece in pieces]
    return tuple(keys)


def reader(keys: Sequence[str]) -> Read:
    """Return the function that follows a path through an event to a value, or to MISSING.

    It never raises. null, "", 0 and false end the walk and are themselves the answer, as in
    Segment's mapping kit: `traits.email` of an event whose traits are null is null.
    """
    if not keys:
        return _whole
    if any(isinstance(key, _Dotted) for key in keys):
        return _dotted_reader(keys)
    if len(keys) == 1:
        return _key_reader(keys[0])

    def read(value: object) -> object:
        for key in keys:
            value = value.get(key, MISSING) if type(value) is dict else _step(value, key)
        return value

    return read


def _whole(value: object) -> object:
    return value


def _key_reader(key: str) -> Read:
    def read(value: object) -> object:
        return value.get(key, MISSING) if type(value) is dict else _step(value, key)

    return read


def _dotted_reader(keys: Sequence[str]) -> Read:
    """Read `a["b.c"]`: the key b.c of a if there is one, else the key c of b of a."""

    def read(value: object) -> object:
        for key in keys:
            found = _step(value, key)
            if found is MISSING and isinstance(key, _Dotted):
                found = value
                for part in key.split("."):
                    found = _step(found, part)
            value = found
        return value

    return read


def _step(value: object, key: str) -> object:
    """Go one key further: into an object, to a place of a list, to a character of a text."""
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if not value and not isinstance(value, list):
        return value
    if isinstance(value, list | str) and key.isascii() and key.isdigit():
        place = int(key)
        if place < len(value) and key == str(place):
            return value[place]
    return MISSING
