"""A database that is away, or whose disk is full: the sender is told, and nothing is lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from destination.errors import StoreUnavailable
from destination.model.delivery import Status
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from tests.faults.conftest import order
from tests.faults.stores import Postgres, Sqlite
from tests.running import answers, until

#: Seconds for which the database is gone, and within which all goes on by itself afterwards.
GONE, RESUMES = 10.0, 30.0


class Stream:
    """Sends a call a time, without end, and remembers each answer."""

    def __init__(self, scene):
        self.scene = scene
        self.answers = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        number = 0
        while not self._over.wait(0.05):
            number += 1
            with ThreadPoolExecutor(4) as threads:  # those who are refused come in numbers
                calls = [order(f"c{n}", number) for n in range(4)]
                self.answers += zip(calls, threads.map(self.scene.send, calls), strict=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def accepted(self):
        return [call["messageId"] for call, answer in self.answers if answer.status_code == 200]

    def refused(self):
        return [answer for _, answer in self.answers if answer.status_code != 200]


def delivered(scene):
    """None are seen while the database is away: one whose disk was full may fall once more after
    it has room again.
    """
    try:
        found = list(lists.deliveries(scene.database, Filter(status=Status.DELIVERED)))
    except StoreUnavailable:
        return set()
    return {row["message_id"] for row in found}


@contextmanager
def gone(scene):
    if isinstance(scene.kept, Sqlite):
        with scene.kept.locked():
            yield
    else:
        scene.kept.stop()
        yield
        scene.kept.start()


def test_a_database_that_is_gone_for_ten_seconds_costs_nothing(scene):
    """It lasts as long as the database is gone."""
    scene.engine()
    scene.receivers()
    scene.worker()
    with Stream(scene) as stream:
        until(lambda: len(delivered(scene)) > 8)
        with gone(scene):
            time.sleep(GONE)
        back, known = time.monotonic(), len(delivered(scene))
        until(lambda: len(delivered(scene)) > known + 8)
        assert time.monotonic() - back < RESUMES
    until(lambda: delivered(scene) >= set(stream.accepted()))

    assert {answer.status_code for answer in stream.refused()} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in stream.refused())
    assert len(scene.arrived()) == len({line.message for line in scene.arrived()})


def test_what_starts_before_its_database_waits_for_it(scene):
    scene.database.prepare()
    scene.engine()
    with gone(scene):
        scene.receivers(wait=False)
        scene.worker()
        until(lambda: scene.log.read_text().count("store unavailable") >= 2)
    until(lambda: answers(f"http://127.0.0.1:{scene.ports[0]}/readyz"))
    assert scene.send(order("ada")).status_code == 200
    until(lambda: delivered(scene) == {"ada-1"})


def test_a_full_disk_is_told_and_loses_nothing(scene):
    if scene.kept.skipped:
        pytest.skip(scene.kept.skipped[0])
    scene.engine()
    scene.receivers()
    scene.worker()
    with Stream(scene) as stream:
        until(lambda: len(delivered(scene)) > 8)
        with scene.kept.full_disk():
            until(lambda: len(stream.refused()) > 8)
            if isinstance(scene.kept, Postgres):
                scene.kept.exhaust()
        refused = len(stream.refused())
        known = len(stream.accepted())
        until(lambda: len(stream.accepted()) > known + 8)
    until(lambda: delivered(scene) >= set(stream.accepted()))

    assert refused
    assert {answer.status_code for answer in stream.refused()} == {503}
    assert all("Retry-After" in answer.headers for answer in stream.refused())
