"""Processes that pause, that are many, or that face an engine which means ill."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from destination.store import schema
from destination.store.queries import lists
from tests.faults.conftest import order
from tests.faults.fleet import LEASE, TIMES
from tests.running import until


def rows(scene):
    return {row["message_id"]: row for row in lists.deliveries(scene.database)}


def attempts(scene):
    with scene.database.reading() as connection:
        return connection.execute(sa.select(schema.attempt)).all()


def test_a_worker_that_sleeps_past_its_lease_settles_nothing_and_sends_nothing(scene):
    scene.engine(slow=0.5)
    scene.receivers()
    paused = scene.worker(REHOOK_CONCURRENCY="4")
    scene.send(*(order(f"c{n}", number) for n in range(20) for number in (1, 2)))
    until(lambda: len(scene.arrived()) >= 6)
    os.kill(paused.pid, signal.SIGSTOP)
    other = scene.worker()
    until(lambda: len(rows(scene)) == 40 and _rest(scene))
    before, arrived = attempts(scene), scene.arrived()

    os.kill(other.pid, signal.SIGSTOP)
    os.kill(paused.pid, signal.SIGCONT)
    scene.send(order("later"))
    until(lambda: rows(scene)["later-1"]["status"] == "delivered")  # by the one that slept
    assert attempts(scene)[:-1] == before
    assert scene.arrived()[:-1] == arrived
    assert 1 <= Counter(row["reason"] for row in rows(scene).values())["worker_died"] <= 4


def _has_arrived(scene, count):
    return len(scene.arrived()) >= count


def _rest(scene):
    return not {"pending", "sending"} & {row["status"] for row in rows(scene).values()}


def test_the_same_call_from_fifty_threads_over_four_receivers_is_one_call(scene):
    scene.engine()
    scene.receivers(4)
    scene.worker()
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(
                lambda n: scene.send(order("ada"), order("bob", n % 5), receiver=n % 4), range(200)
            )
        )
    until(lambda: len(rows(scene)) == 6 and _rest(scene))

    assert {answer.status_code for answer in answers} == {200}
    outcomes = Counter(answer.json()["results"][0]["outcome"] for answer in answers)
    assert outcomes == {"accepted": 1, "duplicate": 199}
    assert Counter(line.message for line in scene.arrived()) == dict.fromkeys(rows(scene), 1)


#: Lives past so many pauses, each longer than the lease.
PAUSES = 4


def test_a_worker_that_is_paused_past_its_lease_again_and_again_lives(scene):
    """Once a lease has ended its delivery is leased again, while the result of the first comes."""
    scene.engine(slow=1.0)
    scene.receivers()
    worker = scene.worker(REHOOK_CONCURRENCY="40")
    for turn in range(PAUSES):
        names = [f"t{turn}-{n}" for n in range(20)]
        arrived = len(scene.arrived())
        scene.send(*(customer(name) for name in names), *(order(name) for name in names))
        until(partial(_has_arrived, scene, arrived + 15))
        worker.pause(LEASE + 0.5)
        assert worker.lives, scene.log.read_text()[-3000:]
    until(lambda: len(rows(scene)) == 40 * PAUSES and _rest(scene))

    assert worker.lives
    found = rows(scene)
    assert {found[f"t{turn}-{n}"]["status"] for turn in range(PAUSES) for n in range(20)} == {
        "delivered"
    }
    assert "crashed" not in {row["reason"] for row in found.values()}
    paid = Counter(line.message for line in scene.arrived() if line.awards)
    assert max(paid.values()) == 1


def test_a_poisonous_delivery_takes_three_workers_down_at_most_and_stops_nobody(scene):
    scene.engine(slow=0.2)
    scene.receivers()
    customers = [f"c{n}" for n in range(8)]
    scene.send(
        *(customer(name) for name in customers),
        customer("eve", poison="sending"),
        *(order(name) for name in [*customers, "eve"]),
    )
    worker = scene.poisonous_worker()
    until(lambda: len(rows(scene)) == 18 and _rest(scene), 120)

    found = rows(scene)
    assert worker.ended <= 3
    assert (found["eve"]["status"], found["eve"]["reason"]) == ("failed", "crashed")
    assert found["eve"]["attempts"] == 3
    assert {row["status"] for name, row in found.items() if name != "eve"} <= {
        "delivered",
        "uncertain",  # an award that was under way when a worker died
    }
    assert {found[name]["status"] for name in customers} == {"delivered"}


def test_what_kills_a_worker_before_it_sends_is_set_aside_as_well(scene):
    scene.engine()
    scene.receivers()
    scene.send(
        customer("mallory", poison="making"), order("mallory"), order("ada", poison="making")
    )
    worker = scene.poisonous_worker()
    until(lambda: len(rows(scene)) == 3 and _rest(scene), 120)

    found = rows(scene)
    assert worker.ended <= 4
    assert (found["mallory"]["status"], found["mallory"]["reason"]) == ("failed", "crashed")
    assert found["mallory-1"]["status"] == "delivered"
    assert (found["ada-1"]["status"], found["ada-1"]["reason"]) == ("uncertain", "worker_died")


def customer(name, **traits):
    """A call that makes a customer."""
    return {"type": "identify", "messageId": name, "userId": name, "traits": {"id": name, **traits}}


#: Answers that try to hold a worker up, or to fill its memory.
HOSTILE = ["dripping", "endless", "bomb", "headers", "late"]

#: Megabytes by which a worker may grow by them.
GROWTH = 20


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)  # the answers reach no database
def test_hostile_answers_end_in_time_and_take_no_memory(scene):
    names = {f"{answer}{n}": [answer] for n in range(6) for answer in HOSTILE}
    scene.engine(**names)
    scene.receivers()
    worker = scene.worker()
    scene.send(*(order(f"c{n}") for n in range(64)))
    until(lambda: len(rows(scene)) == 64 and _rest(scene))
    before = _megabytes(worker.pid)

    scene.send(*(order(name) for name in names))
    until(lambda: len(rows(scene)) == 64 + len(names) and _rest(scene))
    assert _megabytes(worker.pid) - before <= GROWTH
    longest = max(row.ended_at - row.started_at for row in attempts(scene))
    bound = float(TIMES["CONNECT_TIMEOUT"]) + float(TIMES["READ_TIMEOUT"]) + 1.0
    assert longest <= min(bound + 0.5, LEASE)  # half a second to settle it
    assert max(len(row.answer) for row in attempts(scene)) <= 64 * 1024


def _megabytes(pid):
    """The most memory that a process has ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return peak / 1024
