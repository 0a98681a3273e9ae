"""Directives of our own, which Segment's mapping kit lacks: `@hash`, `@omit` and their like.

Null stays null and missing stays missing, as everywhere. What cannot be hashed, or is no number,
is missing: what was asked to be hidden never leaves as it is.
"""

import hashlib
import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from destination.mapping.arguments import (
    Argument,
    Resolve,
    flag,
    number,
    text,
    text_or_directive,
    value,
    whole,
)
from destination.mapping.bounds import check_depth, spend
from destination.mapping.paths import LONGEST_PATH, MISSING, parse_path
from destination.mapping.stringify import as_text, number_text
from destination.support.text import kind

#: The decimals that a number may be rounded to.
MOST_DECIMALS = 10

#: Characters that a text may have to be read as a number.
_LONGEST_NUMBER = 400

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")

# Exact for the product of two numbers of that length, and rounds as people do: 0.5 is 1.
_exactly = Context(prec=2_000, rounding=ROUND_HALF_UP)

#: The keys to leave out, each with those to leave out below it; None is for the whole of it.
_Keys = dict[str, "_Keys | None"]


def hash_text(argument: Argument) -> Resolve:
    """`@hash`: the SHA-256 of a text, in hexadecimal; with `normalize`, of the text without
    blanks around it and in lower case, as e-mail addresses are compared.

    Numbers, true and false are made texts first. An empty text stays empty: its hash would be
    one and the same "customer" for everybody.
    """
    fields = argument.fields({"value": text_or_directive}, {"normalize": flag})
    resolve, normalize = fields["value"], fields.get("normalize", False)

    def run(payload: Any) -> Any:
        found = resolve(payload)
        if found is None:
            return None
        if not isinstance(found, str | bool | int | float):
            return MISSING
        found = as_text(found)
        spend(len(found))
        found = found.strip().lower() if normalize else found
        return hashlib.sha256(found.encode(errors="surrogatepass")).hexdigest() if found else ""

    return run


def omit(argument: Argument) -> Resolve:
    """`@omit`: an object without some of its keys. What is no object stays as it is.

    `address.city` is a key inside another, and also a single key that is called so; a list on
    the way, or in place of the object, has each of its items treated alike.
    """
    fields = argument.fields({"value": value, "keys": _keys}, {})
    resolve, keys = fields["value"], fields["keys"]
    return lambda payload: _without(resolve(payload), keys, 0)


def _keys(argument: Argument) -> _Keys:
    if not isinstance(argument.value, list) or not argument.value:
        found = "an empty one" if argument.value == [] else kind(argument.value)
        raise argument.fault(f"a list of keys belongs here, not {found}")
    keys: _Keys = {}
    for place in range(len(argument.value)):
        key = _key(argument.inner(place))
        keys[key] = None
        *outer, last = parse_path(key)
        inside: _Keys | None = keys
        for each in outer:
            inside = inside.setdefault(each, {}) if inside is not None else None
        if inside is not None:
            inside[last] = None
    return keys


def _key(argument: Argument) -> str:
    found: str = text(1, LONGEST_PATH)(argument)
    if found.startswith("$."):
        raise argument.fault("a key is written as it stands inside the value, without $.")
    if re.search(r"\[[0-9]", found):
        raise argument.fault("a list's items are treated alike: leave the [number] out")
    if not parse_path(found):
        raise argument.fault(f'"{found}" names no key')
    return found


def _without(found: Any, keys: _Keys, depth: int) -> Any:
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


def to_number(argument: Argument) -> Resolve:
    """`@number`: a number, or a text that is one, multiplied by `times` and rounded to
    `decimals`: 0.5 is rounded away from zero, and 1.005 is exactly that, not nearly.

    What is no number, or one too large for JSON's readers, is missing.
    """
    fields = argument.fields(
        {"value": text_or_directive}, {"times": number, "decimals": whole(0, MOST_DECIMALS)}
    )
    resolve = fields["value"]
    times = Decimal(number_text(fields.get("times", 1)))
    unit = Decimal(1).scaleb(-fields["decimals"]) if "decimals" in fields else None

    def run(payload: Any) -> Any:
        found = resolve(payload)
        if found is None:
            return None
        exact = _decimal(found)
        if exact is None:
            return MISSING
        exact = _exactly.multiply(exact, times)
        if unit is not None and math.isfinite(float(exact)):
            exact = exact.quantize(unit, context=_exactly)
        return _number_of(exact)

    return run


def _decimal(found: Any) -> Decimal | None:
    """Read a number as it is written in decimals, not as a computer keeps it."""
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    spend(len(found) if isinstance(found, str) else 1)
    written = found.strip() if isinstance(found, str) else number_text(found)
    if len(written) > _LONGEST_NUMBER or not _NUMBER.fullmatch(written):
        return None
    return Decimal(written)


def _number_of(exact: Decimal) -> Any:
    rough = float(exact)
    if not math.isfinite(rough):
        return MISSING
    return int(exact) if exact == exact.to_integral_value() else rough


def to_boolean(argument: Argument) -> Resolve:
    """`@boolean`: the texts `true` and `false` as booleans; in an object, those among its values.

    Segment's journeys send a membership as a text where audiences send a boolean. Anything else
    stays as it is: a customer may be called True.
    """
    resolve = argument.fields({"value": value}, {})["value"]

    def run(payload: Any) -> Any:
        found = resolve(payload)
        if not isinstance(found, dict):
            return _boolean(found)
        spend(len(found))
        return {key: _boolean(item) for key, item in found.items()}

    return run


def _boolean(found: Any) -> Any:
    return found == "true" if found in ("true", "false") else found
