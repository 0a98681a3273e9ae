"""Connections to PostgreSQL that break while nobody looks."""

import pytest
import sqlalchemy as sa

from destination.errors import StoreUnavailable
from destination.store import database as databases

_END = sa.text("SELECT pg_terminate_backend(:pid, 60000)")


def pid(database):
    with database.reading() as connection:
        return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()


@pytest.fixture
def broken(postgres):
    """A database with one connection, which has been ended."""
    found, other = databases.connect(postgres()), databases.connect(postgres())
    with other.writing() as connection:
        assert connection.execute(_END, {"pid": pid(found)}).scalar()
    yield found
    for each in (found, other):
        each.engine.dispose()


def test_a_connection_that_has_rested_is_tried_before_it_is_used(broken, monkeypatch):
    monkeypatch.setattr(databases, "UNTESTED_IDLE", -1.0)

    assert pid(broken)


def test_one_that_was_used_a_moment_ago_may_fail_once(broken, monkeypatch):
    monkeypatch.setattr(databases, "UNTESTED_IDLE", 3600.0)

    with pytest.raises(StoreUnavailable):
        pid(broken)
    assert pid(broken)
