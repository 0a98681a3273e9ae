"""`@number` sends a number, or a text that is one, multiplied by `times` and rounded.

It calculates as people do: 0.5 is rounded away from zero, and 1.005 is exactly that, not nearly.
What is no number, or one too large for JSON's readers, is missing.
"""

import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal

from destination.mapping.argument_types import (
    Field,
    Fields,
    FixedNumber,
    FixedWhole,
    TextValue,
    Values,
)
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING
from destination.mapping.stringify import number_text

#: The decimals that a number may be rounded to.
MOST_DECIMALS = 10

#: Characters that a text may have to be read as a number.
_LONGEST_NUMBER = 400

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")

# Exact for the product of two numbers of that length, and rounds as people do: 0.5 is 1.
_exactly = Context(prec=2_000, rounding=ROUND_HALF_UP)

VALUE = Field("value", TextValue())
TIMES = Field("times", FixedNumber(), default=1)
DECIMALS = Field[int | None]("decimals", FixedWhole(0, MOST_DECIMALS), default=None)


def _build(values: Values) -> Resolve:
    resolve, decimals = values[VALUE], values[DECIMALS]
    times = Decimal(number_text(values[TIMES]))
    unit = None if decimals is None else Decimal(1).scaleb(-decimals)

    def run(payload: object) -> object:
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


def _decimal(found: object) -> Decimal | None:
    """Read a number as it is written in decimals, not as a computer keeps it."""
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    spend(len(found) if isinstance(found, str) else 1)
    written = found.strip() if isinstance(found, str) else number_text(found)
    if len(written) > _LONGEST_NUMBER or not _NUMBER.fullmatch(written):
        return None
    return Decimal(written)


def _number_of(exact: Decimal) -> object:
    rough = float(exact)
    if not math.isfinite(rough):
        return MISSING
    return int(exact) if exact == exact.to_integral_value() else rough


NUMBER = Directive(
    name="@number",
    shape='{"@number": {"value": …, "times": 100, "decimals": 0}}',
    order=230,
    takes=Fields(VALUE, TIMES, DECIMALS),
    build=_build,
    ours=True,
    makes=1,
)
