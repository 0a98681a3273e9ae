"""Whether any worker lives: told by `/readyz` and `/metrics`, and logged when it changes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from destination.store import workers
from destination.store.database import Database
from destination.support.json_codec import moment
from destination.support.periodic import every

log = structlog.get_logger()

#: Seconds between two looks.
LOOK_EVERY = 10.0


@dataclass(frozen=True, kw_only=True)
class Presence:
    """Who delivers, as a receiver sees it."""

    #: How many workers live.
    alive: int
    #: When the last one was seen, where that was more than 30 seconds ago; else None.
    none_since: float | None


class WorkerWatch:
    """Looks for workers. One that stops takes its row away, so the watch remembers the last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: When the first look was, and when a worker was last seen; by the database's clock.
        self._began: float | None = None
        self._last_seen = 0.0
        self._missing = False

    def look(self) -> Presence:
        """Who delivers now. Raises StoreUnavailable."""
        return self._look()[0]

    def keep_looking(self) -> Callable[[], None]:
        """Look from time to time, and log each change; returns what ends it."""
        return every(LOOK_EVERY, self.tell, name="workers", first=0.0)

    def tell(self, _: threading.Event | None = None) -> None:
        """Look, and log what has changed. A worker that starts with the receiver has a moment to
        say so. Raises StoreUnavailable.
        """
        found, lasted = self._look()
        if found.none_since is not None and lasted >= workers.BELIEVED and not self._missing:
            self._missing = True
            log.warning("no worker runs, and nothing is delivered", since=moment(found.none_since))
        elif found.alive and self._missing:
            self._missing = False
            log.info("a worker runs again", alive=found.alive)

    def _look(self) -> tuple[Presence, float]:
        """Who delivers now, and for how many seconds it has been looked."""
        found = workers.sight(self._database)
        self._began = self._began or found.now
        # Where none has ever said that it lives, nobody knows more than this watch.
        self._last_seen = max(self._last_seen, found.last_seen or 0.0) or found.now
        long = found.now - self._last_seen >= workers.BELIEVED
        presence = Presence(alive=found.alive, none_since=self._last_seen if long else None)
        return presence, found.now - self._began
