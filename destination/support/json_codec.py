"""JSON as it travels: read strictly, written as JavaScript's JSON.stringify writes it."""

import json
import math
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeAlias, cast

#: Anything that JSON can say.
Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

#: Calls nested deeper than this are refused: nobody means it, and it can exhaust a stack.
MAX_DEPTH = 100

# A text that nobody closed reaches to the end, also where that is in the middle of an escape: it is
# looked at once, however it is spelt.
_QUOTED_OR_MARK = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][{},]', re.DOTALL)


def loads(text: str) -> Json:
    """Raises ValueError for what is not JSON: NaN, Infinity, a number out of range, bad nesting."""
    try:
        value: Json = _decoder.decode(text)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's own bound, in Python's words
            raise ValueError("a number has too many digits") from error
        raise
    return value


def load_object(text: str) -> dict[str, Json]:
    """As `loads`, for a text that is an object. Raises ValueError for what is none, too."""
    value = loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - as for any other text
    return value


def dumps(value: object) -> str:
    """Compact, in the order of the keys; half a surrogate pair stays escaped, so that the
    text can always be encoded. Raises TypeError for what JSON cannot say.
    """
    text = _plain(value)
    return text if is_unicode(text) else _escaped(value)


def pretty(value: object) -> str:
    """Indented, for people."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if is_unicode(text) else json.dumps(value, indent=2)


def moment(seconds: float) -> str:
    """A time in seconds since 1970, as JavaScript writes it: `2026-03-14T09:26:53.589Z`."""
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text: object) -> float:
    """A time in ISO 8601, in UTC where it names no zone, as seconds since 1970.

    Raises ValueError for what is none.
    """
    try:
        time = datetime.fromisoformat(cast(str, text))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("it is not a time") from error


def is_too_deep(text: str) -> bool:
    """Whether more than MAX_DEPTH objects and lists stand inside each other somewhere."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False  # the common case, without a look at each
    level = 0
    for mark in _QUOTED_OR_MARK.findall(text):
        if mark in "{[":
            level += 1
        elif mark in "}]":
            level -= 1
        if level > MAX_DEPTH:
            return True
    return False


def elements(text: str) -> list[str]:
    """The texts of a list's elements, or of an object's `"key": value` members, cut at the
    outermost commas without reading them: so that a broken one harms no other.

    Raises ValueError when the brackets do not match.
    """
    edges: list[re.Match[str]] = []
    level = 0
    for match in _QUOTED_OR_MARK.finditer(text):
        mark = match.group()
        if mark in "{[":
            level += 1
            edge = level == 1
        elif mark in "}]":
            edge = level == 1
            level -= 1
        else:
            edge = level == 1 and mark == ","
        if edge:
            edges.append(match)
    whole = text.strip()
    closed = whole[:1] + whole[-1:] in ("[]", "{}") and level == 0
    if not closed or any(edge.group() != "," for edge in edges[1:-1]):
        raise ValueError("its brackets do not match")
    found = [text[left.end() : right.start()].strip() for left, right in pairwise(edges)]
    return [] if found == [""] else found


def member(text: str) -> tuple[str, str]:
    """One of an object's `elements`: its key, and the text of its value.

    Raises ValueError when it is no member.
    """
    try:
        key, end = _decoder.raw_decode(text)
    except RecursionError as error:
        raise ValueError("it is not an object's member") from error
    colon = text.find(":", end)
    if not isinstance(key, str) or colon < 0 or text[end:colon].strip():
        raise ValueError("it is not an object's member")
    return key, text[colon + 1 :].strip()


def first_element(text: str) -> str | None:
    """The exact text of a list's first element, or None where there is none."""
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] != "[":
        return None
    start += 1
    while text[start : start + 1].isspace():
        start += 1
    try:
        _, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return text[start:end]


def _float(text: str) -> float | int:
    """A number with a fraction or an exponent. 1.0 is 1, as in JavaScript."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text} is out of range")
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded: half a surrogate pair cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


_decoder = json.JSONDecoder(parse_float=_float, parse_constant=_constant)
_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
