"""What a setting may say: each of these reads a text, or raises ValueError: what it must be."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

#: Seconds in a day.
DAY = 86_400.0

Mode = TypeVar("Mode", bound=StrEnum)


def text(value: str) -> str:
    return value


def names(value: str) -> tuple[str, ...]:
    """`a, b` → `("a", "b")`."""
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise ValueError("must name something, or be left out")
    return found


def headers(value: str) -> tuple[tuple[str, str], ...]:
    """`X-Token: abc, X-Team: loyalty` → `(("X-Token", "abc"), ("X-Team", "loyalty"))`. A comma
    that no name of a header follows is part of the value.
    """
    found = tuple(
        (name.strip(), content.strip())
        for name, _, content in (
            each.partition(":") for each in _HEADER_BEGINS.split(value.rstrip(", "))
        )
    )
    if not all(name and content for name, content in found):
        raise ValueError("must be headers such as X-Token: abc, comma-separated")
    return found


#: A comma behind which a header's name stands.
_HEADER_BEGINS = re.compile(r",(?=\s*[\w!#$%&'*+.^`|~-]+:)")


def web_address(value: str) -> str:
    """`https://api.rehook.ai`; credentials have settings of their own."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("must be an address such as https://api.example.com")
    return value.rstrip("/")


def switch(value: str) -> bool:
    if value.lower() not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return value.lower() == "yes"


def one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return value

    return read


def member_of(modes: type[Mode]) -> Callable[[str], Mode]:
    """A member of an enumeration, by its value."""
    known = one_of(*modes)

    def read(value: str) -> Mode:
        return modes(known(value))

    return read


def seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("must be a number of seconds, such as 2.5") from None
    if not 0 < number < 10_000_000:
        raise ValueError("must be more than 0 seconds and less than 10,000,000")
    return number


def number(allowed: Callable[[float], bool], says: str) -> Callable[[str], float]:
    """A number that is `allowed`; `says` what it must be."""

    def read(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            raise ValueError(says) from None
        if not allowed(found):
            raise ValueError(says)
        return found

    return read


part = number(lambda found: 0 < found < 1, "must be a number between 0 and 1, such as 0.2")
per_second = number(
    lambda found: 0 <= found <= 100_000, "must be a number from 0 to 100,000, such as 50 or 0.5"
)


def age_from(lowest: str) -> Callable[[str], float]:
    """An age that is as long as `lowest`, or longer."""

    def read(value: str) -> float:
        if (found := age(value)) < age(lowest):
            raise ValueError(f"must be at least {lowest}")
        return found

    return read


#: Seconds in each unit of an age.
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}


def age(value: str) -> float:
    """`90s`, `30m`, `2h`, `3d`, `1.5w`: in seconds."""
    try:
        number = float(value[:-1]) * _UNITS[value[-1]]
    except (ValueError, LookupError):
        raise ValueError("must be an age, such as 30m, 12h or 30d") from None
    if not 0 < number < 1e10:
        raise ValueError("must be more than no time, and less than 300 years")
    return number


def count(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return number

    return read
