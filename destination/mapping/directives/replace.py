"""`@replace` replaces one or two pieces of a text, everywhere unless `global` is false.

Numbers, true and false are made texts first; null, missing, lists and objects give "".
"""

import re
from collections.abc import Callable

from destination.mapping.argument_types import (
    Field,
    Fields,
    FixedFlag,
    FixedText,
    TextValue,
    Values,
)
from destination.mapping.arguments import Resolve
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.stringify import as_text

#: Characters of a pattern or a replacement, as in Segment's kit.
_LONGEST = 10

VALUE = Field("value", TextValue())
PATTERN = Field("pattern", FixedText(1, _LONGEST))
REPLACEMENT = Field("replacement", FixedText(0, _LONGEST), default="")
PATTERN_2 = Field("pattern2", FixedText(0, _LONGEST), default="")
REPLACEMENT_2 = Field("replacement2", FixedText(0, _LONGEST), default="")
IGNORE_CASE = Field("ignorecase", FixedFlag(), default=False)
GLOBAL = Field("global", FixedFlag(), default=True)


def _build(values: Values) -> Resolve:
    resolve = values[VALUE]
    flags = re.IGNORECASE if values[IGNORE_CASE] else re.NOFLAG
    count = 0 if values[GLOBAL] else 1
    steps = [
        (re.compile(re.escape(values[pattern]), flags), _as_written(values[by]))
        for pattern, by in ((PATTERN, REPLACEMENT), (PATTERN_2, REPLACEMENT_2))
        if values[pattern]
    ]

    def run(payload: object) -> str:
        found = resolve(payload)
        if found is None or not isinstance(found, str | bool | int | float):
            return ""
        text = as_text(found)
        for pattern, by in steps:
            text = pattern.sub(by, text, count)
            spend(len(text))
        return text

    return run


def _as_written(text: str) -> Callable[[re.Match[str]], str]:
    """Return the replacement that means itself: `$&` and `\\1` are no more than that."""
    return lambda _: text


REPLACE = Directive(
    name="@replace",
    shape='{"@replace": {"value": …, "pattern": "-", "replacement": " "}}',
    order=60,
    takes=Fields(VALUE, PATTERN, REPLACEMENT, PATTERN_2, REPLACEMENT_2, IGNORE_CASE, GLOBAL),
    build=_build,
    makes="text",
)
