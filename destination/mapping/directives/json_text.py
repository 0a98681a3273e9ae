"""`@json` writes a value as JSON text, or reads JSON text; what is no JSON stays as it is."""

import json
import math
from typing import NoReturn

from destination.mapping.argument_types import AnyValue, Field, Fields, OneOf, Values
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING
from destination.mapping.stringify import EXPONENT_FROM, as_json

MODE = Field("mode", OneOf("encode", "decode"))
VALUE = Field("value", AnyValue())


def _build(values: Values) -> Resolve:
    resolve = values[VALUE]
    change = _encode if values[MODE] == "encode" else _decode
    return lambda payload: change(resolve(payload))


def _encode(found: object) -> object:
    return MISSING if found is MISSING else as_json(found)


def _decode(found: object) -> object:
    if not isinstance(found, str):
        return found
    spend(len(found))
    try:
        decoded: object = json.loads(found, parse_float=_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return found
    return decoded


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


JSON = Directive(
    name="@json",
    shape='{"@json": {"mode": "encode", "value": …}}',
    order=80,
    takes=Fields(MODE, VALUE),
    build=_build,
)
