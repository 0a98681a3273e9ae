"""The judge finds what is wrong: a run that sees nothing wrong is worth no more than its judge."""

import pytest
import sqlalchemy as sa

from destination.model.lease import Acknowledgement
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store import database as databases
from destination.store import schema
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from tests.conftest import arrival
from tests.faults.judge import judge
from tests.faults.ledger import Entry

WORK = [[{"messageId": "a1"}, {"messageId": "a2"}]]


@pytest.fixture
def database(tmp_path):
    """Two awards of one customer: the first is delivered, the answer of the second was lost."""
    found = databases.connect(f"sqlite:///{tmp_path / 'judge.db'}")
    found.prepare()
    rate_limit.register(found, ["rehook"])
    enqueue(found, [arrival("a1", "a"), arrival("a2", "a")])
    for status, verdict in [(200, Verdict.DELIVERED), (None, Verdict.UNKNOWN)]:
        wanted = [Capacity(destination="rehook", room=1)]
        [lease] = poll.poll(found, [], wanted, Terms()).leases
        exchange = Exchange(
            method="POST", url="", status=status, trouble=None if status else Trouble.TIMEOUT
        )
        done = Acknowledgement(
            lease=lease, exchange=exchange, verdict=verdict, status=verdict.status
        )
        poll.poll(found, [done], [], Terms())
    yield found
    found.engine.dispose()


def line(message, answer="ok"):
    return Entry(message=message, customer="a", path="/events/invoke", answer=answer)


@pytest.mark.parametrize(
    ("ledger", "wrong"),
    [
        ([line("a1"), line("a2", "late")], set()),
        ([line("a1")], set()),
        ([line("a2", "late")], {"lost", "ledger and attempts differ"}),
        ([line("a1", "reset"), line("a2")], {"lost", "ledger and attempts differ"}),
        ([line("a2", "reset"), line("a1")], {"out of order"}),
        ([line("a1"), line("a1")], {"duplicated awards", "ledger and attempts differ"}),
        (
            [line("a1"), line("a2", "late"), line("a2", "reset unread")],
            {"ledger and attempts differ"},
        ),
    ],
)
def test_the_judge_compares_the_ledger_with_the_attempts(database, ledger, wrong):
    found = judge(database, ledger, WORK, {"a1", "a2"})

    assert {name for name, messages in found.wrong.items() if messages} == wrong


def test_what_was_acknowledged_and_is_not_kept_is_lost(database):
    found = judge(database, [line("a1"), line("a2")], WORK, {"a1", "a2", "a3"})

    assert found.wrong["lost"] == ["a3: not kept"]
    assert not found.well


@pytest.mark.parametrize(
    ("deaths", "wrong"), [(3, []), (2, ["a2: failed, but the engine never refused it"])]
)
def test_what_failed_as_crashed_had_three_workers_die_in_a_row(database, deaths, wrong):
    failed = schema.delivery.c.status == "uncertain"
    with database.writing() as connection:
        crashed = {"status": "failed", "reason": "crashed", "attempts": deaths}
        number = connection.execute(sa.select(schema.delivery.c.id).where(failed)).scalar_one()
        connection.execute(sa.update(schema.delivery).where(failed).values(crashed))
        mine = schema.attempt.c.delivery_id == number
        connection.execute(sa.delete(schema.attempt).where(mine))
        died = {"delivery_id": number, "started_at": 0, "ended_at": 1, "trouble": "worker_died"}
        rows = [{**died, "number": n} for n in range(1, deaths + 1)]
        connection.execute(sa.insert(schema.attempt), rows)

    found = judge(database, [line("a1")], WORK, {"a1", "a2"})
    assert found.wrong["lost"] == wrong
