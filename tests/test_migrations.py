"""The migrations make the tables that the program speaks of."""

import os
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from destination import database as databases
from destination.errors import Problem
from destination.store import schema


def test_the_migrations_make_the_tables_of_the_schema(database):
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_a_database_of_another_version_is_not_touched(database):
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")

    with pytest.raises(
        Problem, match=r"of version 0000, but this program needs .* Run `destination migrate`"
    ):
        database.prepare()


def test_processes_that_start_at_once_make_the_tables_once(tmp_path):
    environment = {**os.environ, "DESTINATION_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"}
    command = [
        sys.executable,
        "-c",
        "from destination.cli.setup import Setup; Setup.read().database()",
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
