"""Waking: an idle worker hears at once that something was queued, in whatever process.

What it does not hear it finds all the same: a worker polls by itself every few seconds.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()

#: The channel of PostgreSQL's NOTIFY, and the payload that says that only bulk was queued.
CHANNEL, BULK = "loyalty_destination", "bulk"

#: Seconds between two looks at an SQLite file: one costs some microseconds.
_LOOK_EVERY = 0.02

#: Seconds until a lost connection is made anew.
_RECONNECT_AFTER = 1.0


def watch_sqlite(file: Path, heard: Callable[[bool], None]) -> Callable[[], None]:
    """Call `heard(False)` after each commit of another connection to the file: it is not known what
    that queued. Returns a function that ends it.
    """
    ended = threading.Event()

    def watch() -> None:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            version = None
            while not ended.wait(_LOOK_EVERY):
                try:
                    found = connection.execute("PRAGMA data_version").fetchone()
                except sqlite3.Error:  # locked, or its disk is away for a moment
                    continue
                if found != version:
                    version = found
                    heard(False)

    threading.Thread(target=watch, name="waking", daemon=True).start()
    return ended.set


def listen_postgresql(address: str, heard: Callable[[bool], None]) -> Callable[[], None]:
    """Call `heard` after each NOTIFY, with whether it says more than bulk, and after a lost
    connection was made anew. Returns a function that ends it. `address` as libpq reads it:
    `postgresql://user:password@host/db`.
    """
    import psycopg  # only where it is used: it takes a while to load

    ended = threading.Event()

    def listen() -> None:
        with psycopg.connect(address, autocommit=True, connect_timeout=3) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            while not ended.is_set():
                heard(False)  # what was queued meanwhile
                for notice in connection.notifies(timeout=1.0):
                    heard(notice.payload != BULK)
                connection.execute("SELECT 1")  # shows whether it is still there

    def keep_listening() -> None:
        while not ended.is_set():
            try:
                listen()
            except psycopg.Error as error:
                log.warning("listening anew", cause=type(error).__name__)
            ended.wait(_RECONNECT_AFTER)

    threading.Thread(target=keep_listening, name="waking", daemon=True).start()
    return ended.set
