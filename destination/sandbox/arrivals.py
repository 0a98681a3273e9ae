"""An arrival is one request to the engine, written down before anything answers it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import NoReturn


@dataclass(kw_only=True)
class RecordedRequest:
    """One request. All but its answer is fixed when it arrives."""

    #: Counts from 1, in order of arrival.
    number: int
    #: RFC 3339, in UTC.
    at: str
    method: str
    #: As it was sent, percent-encoded, without a query.
    path: str
    #: The JSON that it carried, or its text where that is no JSON; None without a body.
    body: object
    #: The customer that it speaks of, if it names one.
    source_id: str | None
    #: The HTTP status; None until it is answered, and for ever if the connection was cut.
    answer: int | None = None


class RecordedRequests:
    """Everything that arrived, in order. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: list[RecordedRequest] = []

    def add(
        self, *, method: str, path: str, body: object, source_id: str | None
    ) -> RecordedRequest:
        """Write a request down; its `answer` is filled in by who answers it."""
        with self._lock:
            arrival = RecordedRequest(
                number=len(self._kept) + 1,
                at=datetime.now(UTC).isoformat(),
                method=method,
                path=path,
                body=body,
                source_id=source_id,
            )
            self._kept.append(arrival)
            return arrival

    def all(self, *, source_id: str | None = None) -> list[RecordedRequest]:
        """What arrived, in order; with a `source_id` only what speaks of that customer."""
        with self._lock:
            return [a for a in self._kept if source_id is None or a.source_id == source_id]

    def clear(self) -> None:
        """Forget them all, and count from 1 again."""
        with self._lock:
            self._kept.clear()


def read_body(raw: bytes) -> object:
    """A body's JSON, its text where it is no JSON, None where there is none."""
    if not raw:
        return None
    try:
        return json.loads(raw, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON, though Python reads it")
