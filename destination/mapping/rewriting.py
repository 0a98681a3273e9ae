"""Rewriting a value: `@case`, `@replace`, `@json`, `@flatten`, `@merge`, `@excludeWhenNull`."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from destination.mapping.arguments import (
    Argument,
    Faults,
    Resolve,
    choice,
    compile_entries,
    flag,
    is_directive,
    text,
    text_or_directive,
    value,
)
from destination.mapping.bounds import check_depth, spend
from destination.mapping.paths import MISSING
from destination.mapping.stringify import EXPONENT_FROM, as_json, as_text
from destination.support.text import kind


def change_case(argument: Argument) -> Resolve:
    """`@case`: a text in lower or upper case; anything else as it is."""
    fields = argument.fields({"operator": choice("lower", "upper"), "value": text_or_directive}, {})
    resolve = fields["value"]
    change = str.lower if fields["operator"] == "lower" else str.upper

    def run(payload: Any) -> Any:
        found = resolve(payload)
        if not isinstance(found, str):
            return found
        spend(len(found))
        return change(found)

    return run


def replace_text(argument: Argument) -> Resolve:
    """`@replace`: one or two pieces of a text replaced, everywhere unless `global` is false.

    Numbers, true and false are made texts first; null, missing, lists and objects give "".
    Pattern and replacement mean themselves, and have at most 10 characters in Segment's kit.
    """
    piece, replacement = text(1, 10), text(0, 10)
    fields = argument.fields(
        {"value": text_or_directive, "pattern": piece},
        {
            "replacement": replacement,
            "pattern2": replacement,
            "replacement2": replacement,
            "ignorecase": flag,
            "global": flag,
        },
    )
    resolve = fields["value"]
    flags = re.IGNORECASE if fields.get("ignorecase") else re.NOFLAG
    count = 0 if fields.get("global", True) else 1
    steps = [
        (re.compile(re.escape(fields[pattern]), flags), _as_written(fields.get(by, "")))
        for pattern, by in (("pattern", "replacement"), ("pattern2", "replacement2"))
        if fields.get(pattern)
    ]

    def run(payload: Any) -> str:
        found = resolve(payload)
        if found is None or not isinstance(found, str | bool | int | float):
            return ""
        found = as_text(found)
        for pattern, by in steps:
            found = pattern.sub(by, found, count)
            spend(len(found))
        return found

    return run


def _as_written(text: str) -> Callable[[re.Match[str]], str]:
    """Return the replacement that means itself: `$&` and `\\1` are no more than that."""
    return lambda _: text


def decode_or_encode(argument: Argument) -> Resolve:
    """`@json`: a value written as JSON text, or JSON text read; what is no JSON stays as it is."""
    fields = argument.fields({"mode": choice("encode", "decode"), "value": value}, {})
    resolve = fields["value"]
    change = _encode if fields["mode"] == "encode" else _decode
    return lambda payload: change(resolve(payload))


def _encode(found: Any) -> Any:
    return MISSING if found is MISSING else as_json(found)


def _decode(found: Any) -> Any:
    if not isinstance(found, str):
        return found
    spend(len(found))
    try:
        return json.loads(found, parse_float=_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return found


def _number(text: str) -> float | int:
    """A number with a fraction or an exponent. 1.0 is 1, as in JavaScript; 1e999, which Python
    reads as infinity, is none.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return int(number) if number.is_integer() and abs(number) < EXPONENT_FROM else number


def _refuse_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise ValueError(name)


def flatten(argument: Argument) -> Resolve:
    """`@flatten`: `{a: {b: 1}}` becomes `{"a.b": 1}`; lists too, unless `omitArrays` is true.

    Empty objects and lists vanish, and of two values with one name the later stays.
    """
    fields = argument.fields({"value": value, "separator": text(1, 100)}, {"omitArrays": flag})
    resolve, separator = fields["value"], fields["separator"]
    lists = not fields.get("omitArrays", False)

    def run(payload: Any) -> dict[str, Any]:
        return dict(_leaves(resolve(payload), "", separator, lists=lists, depth=0))

    return run


def _leaves(
    found: Any, name: str, separator: str, *, lists: bool, depth: int
) -> Iterator[tuple[str, Any]]:
    """Go through a value's leaves: the name of each, put together from its keys, and its value."""
    if isinstance(found, dict):
        inner = list(found.items())
    elif isinstance(found, list) and lists:
        inner = list(enumerate(found))
    else:
        if found is not MISSING:
            spend(len(name))
            yield name, found
        return
    check_depth(depth)
    for key, item in inner:
        path = f"{name}{separator}{key}" if name else str(key)
        yield from _leaves(item, path, separator, lists=lists, depth=depth + 1)


def merge(argument: Argument) -> Resolve:
    """`@merge`: objects laid over one another; with `right` a later one wins, with `left` not.

    A missing value in an object that the mapping itself writes takes away what lies under it:
    people leave a key out in this way. What is no object, such as null, adds nothing.
    """
    fields = argument.fields({"objects": _objects, "direction": choice("left", "right")}, {})
    objects = fields["objects"]
    if fields["direction"] == "left":
        objects.reverse()

    def run(payload: Any) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for resolve in objects:
            found = resolve(payload)
            if isinstance(found, dict):
                spend(len(found))
                merged.update(found)
        return {key: item for key, item in merged.items() if item is not MISSING}

    return run


def _objects(argument: Argument) -> list[Resolve]:
    if not isinstance(argument.value, list):
        raise argument.fault(f"a list of objects belongs here, not {kind(argument.value)}")
    objects = []
    faults = Faults()
    for place in range(len(argument.value)):
        with faults.gathered():
            objects.append(_object(argument.inner(place)))
    faults.check()
    return objects


def _object(argument: Argument) -> Resolve:
    if not isinstance(argument.value, dict):
        raise argument.fault(f"an object belongs here, not {kind(argument.value)}")
    if is_directive(argument.value):
        return value(argument)
    entries = compile_entries(argument.value, argument.where, argument.compile)
    return lambda payload: {key: resolve(payload) for key, resolve in entries}


def exclude_null(argument: Argument) -> Resolve:
    """`@excludeWhenNull`: null is dropped, also inside objects; inside lists it stays."""
    resolve = value(argument)

    def run(payload: Any) -> Any:
        found = resolve(payload)
        return MISSING if found is None else _without_null(found, 0)

    return run


def _without_null(found: Any, depth: int) -> Any:
    if not isinstance(found, dict):
        return found
    check_depth(depth)
    spend(len(found))
    return {key: _without_null(item, depth + 1) for key, item in found.items() if item is not None}
