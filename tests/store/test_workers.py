"""Workers say that they live, and a receiver says where none does."""

import threading

import pytest
import structlog

from destination.settings.tables import Settings
from destination.store import schema, workers
from destination.store.upkeep.retention import Ages, sweep
from destination.store.workers import BELIEVED
from destination.web.workers import WorkerWatch
from destination.worker.loop import Worker
from tests.running import until

AGES = Ages(delivered=9e9, discarded=9e9, failed=9e9, ids=9e9, awards=9e9)


@pytest.fixture
def lines():
    with structlog.testing.capture_logs() as found:
        yield found


def said(lines):
    return [line["event"] for line in lines]


def test_a_worker_lives_for_as_long_as_it_said_so_lately(timed, clock):
    workers.say_alive(timed, "one")
    workers.say_alive(timed, "two")
    clock.now += BELIEVED - 1
    workers.say_alive(timed, "two")
    assert workers.sight(timed).alive == 2

    clock.now += 2
    found = workers.sight(timed)
    assert (found.alive, found.last_seen) == (1, clock.now - 2)


def test_a_worker_that_stops_is_gone_at_once(timed):
    workers.say_alive(timed, "one")
    workers.say_stopped(timed, "one")

    assert (workers.sight(timed).alive, workers.sight(timed).last_seen) == (0, None)


def test_one_that_was_killed_long_ago_is_forgotten_and_others_are_not(timed, clock):
    workers.say_alive(timed, "old")
    clock.now += 24 * 3600
    workers.say_alive(timed, "new")
    clock.now += 1
    list(sweep(timed, AGES))

    with timed.reading() as connection:
        assert [row.id for row in connection.execute(schema.worker.select())] == ["new"]


def test_that_none_lives_is_told_with_the_time_when_the_last_was_seen(timed, clock):
    watch = WorkerWatch(timed)
    workers.say_alive(timed, "killed")
    seen = clock.now
    clock.now += BELIEVED - 1
    assert (watch.look().alive, watch.look().none_since) == (1, None)

    clock.now += 1
    assert (watch.look().alive, watch.look().none_since) == (0, seen)


def test_one_that_stopped_is_missed_after_a_while(timed, clock):
    watch = WorkerWatch(timed)
    workers.say_alive(timed, "stopped")
    watch.look()
    workers.say_stopped(timed, "stopped")
    assert (watch.look().alive, watch.look().none_since) == (0, None)

    seen, clock.now = clock.now, clock.now + BELIEVED
    assert watch.look().none_since == seen


def test_where_none_ever_was_it_is_missed_since_somebody_looks(timed, clock):
    watch = WorkerWatch(timed)
    assert watch.look().none_since is None

    seen, clock.now = clock.now, clock.now + BELIEVED
    assert watch.look().none_since == seen


def test_each_change_is_logged_once(timed, clock, lines):
    watch = WorkerWatch(timed)
    for _ in range(3):
        watch.tell()
        clock.now += BELIEVED
    workers.say_alive(timed, "one")
    for _ in range(2):
        watch.tell()
    clock.now += BELIEVED
    watch.tell()

    missing, back = "no worker runs, and nothing is delivered", "a worker runs again"
    assert said(lines) == [missing, back, missing]


def test_a_worker_that_starts_with_the_receiver_has_a_moment_though_another_died_long_ago(
    timed, clock, lines
):
    workers.say_alive(timed, "killed")
    clock.now += 99_999
    watch = WorkerWatch(timed)
    watch.tell()
    clock.now += BELIEVED - 1
    watch.tell()
    assert said(lines) == []

    clock.now += 1
    watch.tell()
    assert [line["log_level"] for line in lines] == ["warning"]


def test_a_worker_is_there_while_it_runs(database):
    worker = Worker(database, {}, Settings())
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: workers.sight(database).alive == 1)
    worker.stop()
    thread.join(15)

    assert workers.sight(database).alive == 0
