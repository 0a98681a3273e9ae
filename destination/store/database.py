"""The database: SQLite for one machine, PostgreSQL for many, and the few words that differ."""

import contextlib
import functools
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from destination.errors import BadSetting, Problem, StoreConflict, StoreUnavailable
from destination.store import bulk_insert, listen, migrations
from destination.store.bulk_insert import InsertRows

#: Seconds to wait for another writer, or for a free connection, before giving up.
LOCK_TIMEOUT = 3.0

#: Seconds between two tries to begin writing while another process writes to SQLite.
_BEGIN_EVERY = 0.001

#: Seconds for which a connection to PostgreSQL may lie idle. After that it is tested before it is
#: used: the database may have been restarted. A test each time would cost every transaction a round
#: trip.
UNTESTED_IDLE = 1.0


#: A database's own insert, which knows ON CONFLICT: statements made of it are made once for each.
Insert = Callable[[sa.Table], sqlite.Insert | postgresql.Insert]

#: A column, and a query of one column: the condition that the column is in what the query finds.
OneOf = Callable[[sa.ColumnElement[int], sa.Select[int]], sa.ColumnElement[bool]]

#: Makes an SQL expression that wakes workers when the transaction commits.
Wake = Callable[[sa.ColumnElement[bool]], sa.ColumnElement[None]]

P = ParamSpec("P")
R = TypeVar("R")

#: How often a transaction is tried that conflicts with another one.
_TRIES = 4


@dataclass(frozen=True)
class Database:
    """Where everything is kept. Its fields are what differs between the two kinds."""

    engine: sa.Engine

    #: Now, by the database's own clock, in seconds since 1970 UTC; the same in all of a statement.
    now: sa.ColumnElement[float]
    #: The insert that knows ON CONFLICT.
    insert: Insert
    #: Runs an insert for many rows.
    insert_rows: InsertRows
    #: Whether a column is one of those that a query finds: the query is run once, beforehand.
    one_of: OneOf
    #: Held while the tables are made or changed, so that only one process does it.
    lock_schema: str
    #: Said at the beginning of a transaction that only reads.
    begin_reading: str | None
    #: SQL expression that wakes workers on commit; it is given whether only bulk was queued.
    #: None: SQLite, whose file is watched.
    wake: Wake | None
    #: Calls a function, in a thread of its own, whenever something may have been queued. True means
    #: that it is known to be more than bulk. Returns a function that ends it.
    listen: Callable[[Callable[[bool], None]], Callable[[], None]]

    def read_clock(self, connection: sa.Connection) -> float:
        """The value of `now`."""
        return connection.execute(self._read_clock).scalar_one()

    @functools.cached_property
    def _read_clock(self) -> sa.Select[float]:
        return sa.select(self.now)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing. Raises StoreUnavailable when it cannot be had."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that only reads, and so waits for nobody."""
        reader = self.engine.execution_options(reading=True)
        with _translated(), reader.connect() as connection:
            if self.begin_reading:
                connection.exec_driver_sql(self.begin_reading)
            yield connection

    def check_writable(self) -> None:
        """Raises StoreUnavailable unless a write reaches the disk right now."""
        with self.writing() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")

    def exists(self) -> bool:
        """Whether there are tables; looks without making a file."""
        file = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        if file is not None and not Path(file).is_file():
            return False
        with self.reading() as connection:
            return migrations.version(connection) is not None

    def prepare(self) -> str | None:
        """Make the tables where there are none. Raises Problem when theirs are of an older
        version: a running service never changes them by itself. Those of a newer one can be
        worked on, since migrations only add; returns what to say of it then.
        """
        with self.reading() as connection:
            found = migrations.version(connection)
        if found is None:
            self.migrate()
            return None
        needed = migrations.newest()
        if found != needed and not migrations.is_newer(found, needed):
            raise Problem(
                f"The database's tables are of version {found}, but this program needs {needed}. "
                "Run `destination migrate`, or use the program that fits them."
            )
        return migrations.newer_words(found, needed) if found != needed else None

    def migrate(self) -> str | None:
        """Bring the tables to the newest version, in one transaction; those of a newer program
        stay as they are, and what to say of it is returned.
        """
        with self.writing() as connection:
            connection.exec_driver_sql(self.lock_schema)
            found, needed = migrations.version(connection), migrations.newest()
            if found and migrations.is_newer(found, needed):
                return migrations.newer_words(found, needed)
            migrations.upgrade(connection)
        return None


def tried_again(
    transaction: Callable[P, R],
) -> Callable[P, R]:
    """A transaction that is done anew when the database chose it to end a deadlock."""

    @functools.wraps(transaction)
    def trying(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(StoreConflict):
                return transaction(*args, **kwargs)
        return transaction(*args, **kwargs)

    return trying


def connect(url: str) -> Database:
    """The database at `url`. Raises BadSetting when it is not one that we can use."""
    try:
        address = sa.make_url(url)
        kind = address.get_backend_name()
        if kind == "sqlite":
            return _sqlite(address)
        if kind == "postgresql":
            return _postgresql(address)
    except (sa.exc.ArgumentError, NoSuchModuleError, ImportError) as error:
        # psycopg names no module where it is there without libpq.
        driverless = isinstance(error, ImportError) and error.name in ("psycopg", None)
        # The address may hold a password: it is not repeated.
        remedy = _no_driver if driverless else _advice
        raise BadSetting(f"DESTINATION_DATABASE_URL cannot be used: {remedy}") from error
    raise BadSetting(f"DESTINATION_DATABASE_URL names {kind}, which is not known: {_advice}")


_advice = (
    "write sqlite:////absolute/path/destination.db "
    "or postgresql+psycopg://user:password@host/database."
)
_no_driver = (
    "PostgreSQL's driver is not installed. Install it:\n"
    f"  {sys.executable} -m pip install 'psycopg[binary]'"
)


# Within a statement both stand still.
_SQLITE_NOW = sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
_POSTGRESQL_NOW = sa.literal_column("extract(epoch FROM statement_timestamp())::float8", sa.Double)


def _sqlite(address: sa.URL) -> Database:
    folder = Path(address.database or "").parent
    if not address.database or not folder.is_dir():
        raise BadSetting(
            f"DESTINATION_DATABASE_URL: there is no folder {folder}. Make it, or name a file in "
            "one that exists."
        )
    if Path(address.database).is_dir():
        raise BadSetting(
            f"DESTINATION_DATABASE_URL: {address.database} is a folder. Name a file in it."
        )
    engine = sa.create_engine(
        address,
        hide_parameters=True,  # they are people's data, and errors are logged
        connect_args={"timeout": LOCK_TIMEOUT},
        pool_size=8,
        max_overflow=-1,
        insertmanyvalues_page_size=bulk_insert.PAGE,
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")  # what was answered 2xx is on the disk
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_writing(connection)

    return Database(
        engine=engine,
        now=_SQLITE_NOW,
        insert=sqlite.insert,
        insert_rows=bulk_insert.insert_values,
        one_of=sa.ColumnElement.in_,
        lock_schema="SELECT 1",  # BEGIN IMMEDIATE holds it already
        begin_reading=None,
        wake=None,  # every commit can be seen
        listen=lambda heard: listen.watch_sqlite(Path(address.database or ""), heard),
    )


def _begin_writing(connection: sa.Connection) -> None:
    """One writer at a time: a writer waits at the beginning of its transaction, not in the middle.

    SQLite's own waiting polls ever more seldom, in the end every 100 ms. A process that commits one
    transaction after another would then keep all others out.
    """
    tried_until = time.monotonic() + LOCK_TIMEOUT
    driver = connection.connection.cursor()
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except sa.exc.OperationalError as error:
                busy = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > tried_until:
                    raise
                time.sleep(_BEGIN_EVERY)
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}")
        driver.close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side. Only the first connection of all changes the
    file, and SQLite does not wait by itself for others that are about to do the same.
    """
    tried_until = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > tried_until:
                raise
            time.sleep(0.02)
        else:
            return


#: A server that is gone is noticed within some 15 seconds, even where the network reports nothing.
_KEEPALIVE = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def _postgresql(address: sa.URL) -> Database:
    wanted = {key: value for key, value in _KEEPALIVE.items() if key not in address.query}
    engine = sa.create_engine(
        address,
        hide_parameters=True,
        connect_args=wanted,
        pool_size=8,
        max_overflow=-1,
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT:g}s'")
        # A paused process does not keep its locks for ever.
        cursor.execute("SET idle_in_transaction_session_timeout = '10s'")
        cursor.close()
        connection.commit()

    @sa.event.listens_for(engine, "checkin")
    def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _test_idle(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("idle_since", math.inf) > UNTESTED_IDLE:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error  # the pool makes a new one

    return Database(
        engine=engine,
        now=_POSTGRESQL_NOW,
        insert=postgresql.insert,
        insert_rows=bulk_insert.insert_json,
        one_of=_is_of_array,
        lock_schema="SELECT pg_advisory_xact_lock(7214301)",
        # A reader of a list locks nothing, and may take a while.
        begin_reading="SET LOCAL idle_in_transaction_session_timeout = 0",
        wake=_notify,
        listen=lambda heard: listen.listen_postgresql(
            address.set(drivername="postgresql").render_as_string(hide_password=False), heard
        ),
    )


def _is_of_array(column: sa.ColumnElement[int], query: sa.Select[int]) -> sa.ColumnElement[bool]:
    """As an array: for IN, the planner guesses the number of rows, and may read a whole table."""
    return column == sa.any_(sa.func.array(query.scalar_subquery()))


def _notify(bulk: sa.ColumnElement[bool]) -> sa.ColumnElement[None]:
    return sa.func.pg_notify(
        sa.literal_column(f"'{listen.CHANNEL}'"),
        sa.case((bulk, sa.literal_column(f"'{listen.BULK}'")), else_=sa.literal_column("''")),
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate driver errors: transient → StoreUnavailable or StoreConflict; not a database →
    BadSetting.
    """
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InternalError, PoolTimeout) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        kind = StoreConflict if getattr(cause, "sqlstate", "") in _CONFLICTS else StoreUnavailable
        raise kind(f"The database cannot be used now: {cause}") from error
    except sa.exc.DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        raise BadSetting(
            "DESTINATION_DATABASE_URL names a file that is no SQLite database. Name another one, "
            "or put a back-up in its place."
        ) from error


#: PostgreSQL's codes for a transaction that it ended in favour of another: serialization, deadlock.
_CONFLICTS = ("40001", "40P01")
