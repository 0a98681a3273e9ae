"""How a value is written as text: as JavaScript writes it, since Segment's mapping kit does."""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal

from destination.mapping.bounds import check_depth, spend
from destination.mapping.paths import MISSING

#: JavaScript writes numbers from here on with an exponent: 1e+21.
EXPONENT_FROM = 1e21

_SURROGATE = re.compile("[\ud800-\udfff]")


def as_text(value: object, depth: int = 0) -> str:
    """Write a value into a text: nothing for null and missing, lists with commas, objects as JSON.

    Raises MappingFailed for lists nested too deep.
    """
    if isinstance(value, str):
        return value
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list):
        check_depth(depth)
        spend(len(value))
        return ",".join([as_text(item, depth + 1) for item in value])
    return as_json(value)


def number_text(number: float) -> str:
    """Write a number: 1.0 is 1, 1e21 is 1e+21, 0.0000001 is 1e-7. No digit of an id is lost."""
    if isinstance(number, int):
        return str(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < EXPONENT_FROM:
        return str(int(number))
    if 1e-6 <= abs(number) < 1e-4:
        return format(Decimal(repr(number)), "f")
    return re.sub(r"e([+-])0+", r"e\1", repr(number))


def as_json(value: object) -> str:
    """Write a value as JSON without blanks.

    Raises MappingFailed if it is too large or nested too deep, TypeError if JSON cannot say it.
    """
    return "".join(_json_pieces(value, 0))


def _json_pieces(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield _json_string(value)
    elif value is None or value is MISSING:
        yield "null"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, int | float):
        yield number_text(value) if math.isfinite(value) else "null"
    elif isinstance(value, list):
        check_depth(depth)
        spend(len(value))
        yield from _list_pieces(value, depth + 1)
    elif isinstance(value, dict):
        check_depth(depth)
        spend(len(value))
        yield from _object_pieces(value, depth + 1)
    else:
        raise TypeError(f"a {type(value).__name__} is not JSON")


def _list_pieces(items: list[object], depth: int) -> Iterator[str]:
    yield "["
    for index, item in enumerate(items):
        yield "," if index else ""
        yield from _json_pieces(item, depth)
    yield "]"


def _object_pieces(members: dict[str, object], depth: int) -> Iterator[str]:
    yield "{"
    for index, (key, item) in enumerate(members.items()):
        yield f"{',' if index else ''}{_json_string(key)}:"
        yield from _json_pieces(item, depth)
    yield "}"


def _json_string(text: str) -> str:
    spend(len(text))
    written = json.dumps(text, ensure_ascii=False)
    # Half of a character cannot leave in UTF-8; JavaScript writes its number instead.
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", written)
