"""What a claim costs does not grow with what waits: shown by the databases' own query plans."""

import time

import pytest
import sqlalchemy as sa

from destination.store import schema
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from tests.conftest import arrival

BLOCKED, WAITING, READY = 1_000, 100_000, 20

#: A hundred deliveries each for a thousand customers who are in backoff.
LANES = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :blocked)
    INSERT INTO lane (destination, customer, ready_at)
    SELECT 'rehook', 'blocked' || i, :later FROM n"""
DELIVERIES = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :waiting)
    INSERT INTO delivery (event_id, lane_id, destination, mapping, action, payload, status, step,
                          attempts, created_at)
    SELECT e.id, l.first + (i % :blocked), 'rehook', 'm' || i, 'trackEvent', '{}', 'pending', 0, 0, 0
    FROM n, (SELECT min(id) AS id FROM event) e,
         (SELECT min(id) AS first FROM lane WHERE customer LIKE 'blocked%') l"""


@pytest.fixture
def crowded(database):
    """A database in which much waits, and little of it is ready."""
    rate_limit.register(database, ["rehook"])
    enqueue(database, [arrival(f"ready{n}", f"ready{n}") for n in range(READY)])
    later = time.time() + 900
    with database.writing() as connection:
        connection.execute(sa.text(LANES), {"blocked": BLOCKED, "later": later})
        connection.execute(sa.text(DELIVERIES), {"blocked": BLOCKED, "waiting": WAITING})
        count = sa.select(sa.func.count()).select_from(schema.delivery)
        assert connection.execute(count).scalar_one() == WAITING + READY
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")  # as both databases do by themselves after a while
    return database


def lease(database, room=1):
    wanted = [Capacity(destination="rehook", room=room, most=1000)]
    return poll.poll(database, [], wanted, Terms()).leases


def queries(database):
    """What a claim asks of the database, with its parameters."""
    found = []

    def note(connection, cursor, statement, parameters, context, executemany):
        if " FROM " in statement.replace("\n", " ") and not executemany:
            found.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    assert len(lease(database, room=10)) == 10
    sa.event.remove(database.engine, "before_cursor_execute", note)
    assert len(found) >= 3
    return found


def test_nothing_is_read_that_cannot_be_claimed(crowded):
    found = queries(crowded)

    with crowded.reading() as connection:
        for statement, parameters in found:
            if crowded.engine.dialect.name == "sqlite":
                explain = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                steps = [row[3] for row in explain]
                assert not any(step.startswith(("SCAN lane", "SCAN delivery")) for step in steps)
                assert not any("TEMP B-TREE" in step for step in steps)
            else:
                explain = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
                )
                assert most_rows(explain.scalar_one()[0]["Plan"]) <= 100


def test_what_is_ready_is_found_among_all_that_waits(crowded):
    for _ in range(READY):
        [leased] = lease(crowded)
        assert "ready" in leased.payload


def most_rows(plan):
    """The most rows that any node of a PostgreSQL plan read."""
    read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    below = [most_rows(node) for node in plan.get("Plans", [])]
    return max([read * plan["Actual Loops"], *below])
