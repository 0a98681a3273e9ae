"""What reached the stand-in for Segment's Tracking API, each call once."""

from threading import Lock
from typing import Any


class Tracked:
    """The calls that were sent, in order. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: dict[object, dict[str, Any]] = {}

    def add(self, call: dict[str, Any]) -> None:
        """Keep a call; one whose `messageId` was here before is dropped, as Segment does it."""
        with self._lock:
            self._calls.setdefault(call.get("messageId", len(self._calls)), call)

    def all(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._calls.values())

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
