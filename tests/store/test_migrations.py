"""The migrations make the tables that the program speaks of, and disturb nobody who works."""

import ast
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from destination.errors import Problem
from destination.store import database as databases
from destination.store import migrations, schema
from tests.conftest import ROOT
from tests.running import service, until

MIGRATIONS = ROOT / "destination" / "store" / "migrations"

#: What a migration may do while programs of the version before still work on its tables.
ADDING = {
    *("create_table", "create_index", "add_column", "batch_alter_table", "alter_column"),
    "drop_index",  # it costs the older program time, and nothing else
}

#: Every kind of change that the rule allows, on every table.
ADDITIVE = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", {newest!r}

def upgrade():
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    for table in {tables!r}:
        op.add_column(table, sa.Column("added", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("counted", sa.Integer(), nullable=False, server_default="0"))
        op.create_index(f"ix_{{table}}_added", table, ["added"])
"""


def test_the_migrations_make_the_tables_of_the_schema(database):
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


@pytest.mark.parametrize("version", ["0000", "somebody's"])
def test_a_database_of_an_older_version_is_not_touched(database, version):
    with database.writing() as connection:
        said = sa.text("UPDATE alembic_version SET version_num = :version")
        connection.execute(said, {"version": version})

    words = rf"of version {version}, but this program needs .* Run `destination migrate`"
    with pytest.raises(Problem, match=words):
        database.prepare()


def test_processes_that_start_at_once_make_the_tables_once(tmp_path):
    environment = {**os.environ, "DESTINATION_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"}
    command = [
        sys.executable,
        "-c",
        "from destination.app import Setup; Setup.read().database()",
    ]
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(4)]

    assert [process.communicate()[1] for process in started] == [b""] * 4
    assert {process.returncode for process in started} == {0}


def test_what_is_committed_is_on_the_disk(tmp_path):
    database = databases.connect(f"sqlite:///{tmp_path / 'x.db'}")
    with database.reading() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert found == ["wal", 2, 1]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """Where an empty database of each kind is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'live.db'}"
    return request.getfixturevalue("postgres")()


@contextmanager
def opened(url):
    database = databases.connect(url)
    yield database
    database.engine.dispose()


@pytest.fixture
def migrated_by(tmp_path, monkeypatch):
    """Migrates a database as a later version of the program would, with one more migration."""

    def migrate(url):
        later = tmp_path / "later"
        shutil.copytree(MIGRATIONS, later)
        newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
        text = ADDITIVE.format(newest=newest, tables=list(schema.metadata.tables))
        (later / "versions" / "later.py").write_text(text)
        with monkeypatch.context() as patch, opened(url) as database:
            patch.setattr(migrations, "_FOLDER", str(later))
            database.migrate()
        return newest

    return migrate


def order(number):
    return {
        "type": "track",
        "messageId": f"order-{number}",
        "userId": f"customer-{number % 5}",
        "event": "Order Completed",
        "properties": {"number": number},
    }


def test_receivers_and_workers_of_the_old_version_work_across_a_migration(
    url, migrated_by, tmp_path
):
    with service(tmp_path, DATABASE_URL=url) as running:
        running.sandbox()
        running.serve()
        old = running.start("worker")
        sender = threading.Thread(target=lambda: [running.send(order(n)) for n in range(150)])
        sender.start()
        until(running.arrived)
        newest = migrated_by(url)
        sender.join()
        running.send(order(150))
        until(lambda: len(running.arrived()) >= 151)

        # One of them starts anew in the middle of the upgrade, or because it was rolled back.
        old.terminate()
        old.wait()
        running.start("worker")
        running.send(order(151))
        until(running.settled)
        said = f"are of version 9999, newer than this program, which needs {newest}"
        listed, migrated = running.run("deliveries", "--json"), running.run("migrate")
        assert (listed.returncode, migrated.returncode) == (0, 0)
        assert said in listed.stderr
        assert said in migrated.stdout

        assert {row["status"] for row in running.deliveries().values()} == {"delivered"}
        for customer in range(5):
            arrived = running.arrived(f"customer-{customer}")
            numbers = [request["body"]["metadata"]["number"] for request in arrived]
            assert numbers == list(range(customer, 152, 5))


def test_start_up_says_that_a_migration_is_due_and_how_it_is_made(url, tmp_path):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with opened(url) as database, database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    with service(tmp_path, DATABASE_URL=url) as running:
        for start in ("serve", "worker", "deliveries"):
            refused = running.run(start)
            assert refused.returncode != 0
            assert "of version 0001, but this program needs" in refused.stderr
            assert "Run `destination migrate`" in refused.stderr
        assert running.run("migrate").returncode == 0
        assert running.run("deliveries").returncode == 0


def test_versions_are_numbers_each_one_more_than_the_one_before():
    found = [each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]

    assert found[::-1] == [f"{number:04}" for number in range(1, len(found) + 1)]


@pytest.mark.parametrize(
    "path", sorted((MIGRATIONS / "versions").glob("0*.py"))[1:], ids=lambda path: path.stem
)
def test_a_migration_only_adds(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    for call in calls:
        _, _, name = ast.unparse(call.func).partition(".")
        assert name in ADDING or name not in dir(Operations)
        if name in ("add_column", "alter_column"):
            assert re.search("nullable=True|server_default=", ast.unparse(call))
