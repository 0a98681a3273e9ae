"""The routes in force: changed mapping files are taken up within two seconds, all or nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from destination.errors import InvalidMapping
from destination.mapping.files import files, stamps
from destination.routing.route import Routes
from destination.support.periodic import every

log = structlog.get_logger()

#: Seconds between two looks at the files.
LOOK_EVERY = 1.0


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Why the files as they are now are not in force."""

    #: Every fault, a line each: file, line, what is wrong, what to write.
    message: str
    #: Since when, in seconds since 1970 UTC.
    since: float


class LiveRoutes:
    """What a receiver routes by. Whoever routes a batch asks for `current` once."""

    def __init__(
        self, folder: Path, read: Callable[[], Routes], remember: Callable[[Routes], None]
    ) -> None:
        """`read` makes routes of the files, or raises InvalidMapping; `remember` keeps them,
        so that it can be said later by what something was sent. Raises as these two do.
        """
        self._folder = folder
        self._read = read
        self._remember = remember
        self._seen = stamps(files(folder))
        self.current = read()
        remember(self.current)
        #: When the routes in force were taken up, in seconds since 1970 UTC.
        self.since = time.time()
        self.rejected: Rejected | None = None

    def watch(self) -> None:
        """Look at the files from now on, as long as the process lasts."""
        every(LOOK_EVERY, lambda _: self.look(), name="mappings")

    def look(self) -> None:
        """Take the files up where they have changed, unless one of them has a fault."""
        found = stamps(files(self._folder))
        if found == self._seen:
            return
        try:
            routes = self._read()
            self._refuse_empty_direction(routes)
            if routes.digest != self.current.digest:
                self._remember(routes)
                self.current, self.since = routes, time.time()
                log.info("mappings taken up", digest=routes.digest, count=len(routes.mappings))
            self.rejected = None
        except InvalidMapping as error:
            since = self.rejected.since if self.rejected else time.time()
            self.rejected = Rejected(message=str(error), since=since)
            log.error("mappings not taken up, the last good ones go on", faults=str(error))
        self._seen = found

    def _refuse_empty_direction(self, routes: Routes) -> None:
        """Refuse to lose all mappings of a direction: the files were probably moved, and discarded
        calls never return. Raises InvalidMapping.
        """
        found = {mapping.path.parent for mapping in routes.mappings}
        gone = {mapping.path.parent for mapping in self.current.mappings if mapping.enabled} - found
        if gone:
            raise InvalidMapping(
                "\n".join(
                    f"{folder}:1:1: its mappings are in force, and their files are gone. Put them "
                    "back; or, to stop them, put them back with enabled: false first, or restart "
                    "the service."
                    for folder in sorted(gone)
                )
            )
