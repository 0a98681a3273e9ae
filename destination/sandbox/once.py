"""What reached a stand-in, each thing once however often it was sent."""

from threading import Lock


class Once:
    """Things in the order in which they came. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[object, dict[str, object]] = {}

    def add(self, id_: str | None, thing: dict[str, object]) -> None:
        """Keep a thing; one whose id was here before is dropped, and one without an id is new."""
        with self._lock:
            self._kept.setdefault(object() if id_ is None else id_, thing)

    def all(self) -> list[dict[str, object]]:
        with self._lock:
            return list(self._kept.values())

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
