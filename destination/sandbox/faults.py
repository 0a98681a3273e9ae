"""A fault makes the engine misbehave on purpose: an error status, a delay, a cut connection."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Misbehaviour:
    """What shall go wrong, where, and how often. A delay comes before anything else."""

    #: A path of the engine, or an endpoint as the front page lists it: `/customers/{source_id}`.
    path: str
    #: Answer this status with an error body, and process nothing.
    status: int | None = None
    #: Cut the connection without an answer, `before` or `after` the request is processed.
    drop: Literal["before", "after"] | None = None
    #: Seconds.
    delay: float = 0
    #: The value of a Retry-After header beside `status`, as it is.
    retry_after: float | str | None = None
    #: Only requests that speak of this customer.
    source_id: str | None = None
    #: How many requests it still hits.
    count: int = 1


class Misbehaviours:
    """The faults that are armed, in order. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._armed: list[Misbehaviour] = []

    def arm(self, fault: Misbehaviour) -> None:
        """Queue a fault behind those that are armed already."""
        with self._lock:
            self._armed.append(fault)

    def take(self, paths: Collection[str], *, source_id: str | None) -> Misbehaviour | None:
        """Use up, by one, the first fault that fits a request known by any of these paths."""
        with self._lock:
            for place, fault in enumerate(self._armed):
                if fault.path in paths and fault.source_id in (None, source_id):
                    left = replace(fault, count=fault.count - 1)
                    self._armed[place : place + 1] = [left] if left.count else []
                    return fault
            return None

    def armed(self) -> list[Misbehaviour]:
        """What has not been used up, in order."""
        with self._lock:
            return list(self._armed)

    def clear(self) -> None:
        """Disarm them all."""
        with self._lock:
            self._armed.clear()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def is_number(value: object, most: int) -> bool:
    """Whether a value of JSON is a number from 0 to `most`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


#: What the value of each key must be: a test, and the words for it.
CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "path": (_is_text, "the path of an endpoint"),
    "status": (lambda value: _is_whole(value, 200, 599), "a whole number from 200 to 599"),
    "drop": (lambda value: value in ("before", "after"), '"before" or "after"'),
    "delay": (lambda value: is_number(value, 3600), "a number of seconds from 0 to 3600"),
    "retry_after": (
        lambda value: is_number(value, 10**9) or _is_header(value),
        "a number, or text that can stand in a header",
    ),
    "count": (lambda value: _is_whole(value, 1, 10**9), "a whole number of 1 or more"),
    "source_id": (_is_text, "the source_id of a customer"),
}


def read_fault(body: object) -> Misbehaviour:
    """A fault from its JSON: `{"path": "/events/invoke", "status": 503, "count": 2}`.

    Raises ValueError, which names the key and the remedy, for a missing path, an unknown key,
    a value that a key cannot have, and a fault that would do nothing or two things at once.
    """
    if not isinstance(body, dict) or "path" not in body:
        raise ValueError('a fault is a JSON object with a "path"')
    given = {key: value for key, value in body.items() if value is not None}
    for key, value in given.items():
        if key not in CHECKS:
            raise ValueError(f"unknown key {key!r}; there are {', '.join(CHECKS)}")
        passes, wanted = CHECKS[key]
        if not passes(value):
            raise ValueError(f"{key} must be {wanted}, not {value!r}")
    if not given.keys() & {"status", "drop", "delay"}:
        raise ValueError("say what shall go wrong: status, drop or delay")
    if {"status", "drop"} <= given.keys():
        raise ValueError("either status or drop: a cut connection has no status")
    if "retry_after" in given and "status" not in given:
        raise ValueError("retry_after goes with status: it is a header of that answer")
    return Misbehaviour(**given)
