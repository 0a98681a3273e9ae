"""The doors for which no credential is set: closed, and said to be so, with what opens them."""

import ipaddress

import structlog

from destination.app import Setup
from destination.settings.tables import Settings
from destination.store.database import Database
from destination.store.queries import lists

log = structlog.get_logger()

#: Makes a credential that nobody guesses.
MAKE_ONE = "openssl rand -hex 24"


def closed(setup: Setup) -> list[str]:
    """A sentence for each closed door, for people."""
    return [
        f"{door} is closed, and every request there is answered 401, until you set {settings}."
        for door, settings in setup.closed.items()
    ]


def tell_closed(setup: Setup, database: Database) -> None:
    """Log each closed door. Nothing is open for coming from this machine: all that a proxy passes
    on does.

    Former versions let everybody in without a credential where the receiver listened on loopback.
    Where such a receiver has kept events, that is said. Raises StoreUnavailable.
    """
    was_open = is_loopback(setup.settings) and lists.has_events(database)
    since = ", and open in former versions" if was_open else ""
    for door, settings in setup.closed.items():
        log.warning(
            f"door closed{since}: no credential is set",
            door=door,
            opened_by=settings,
            make_one=MAKE_ONE,
        )


def is_loopback(settings: Settings) -> bool:
    """Whether the receiver listens to its own machine alone."""
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host == "localhost"
