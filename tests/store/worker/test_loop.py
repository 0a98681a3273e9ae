"""The worker, against an engine that is told what to answer."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import structlog

from destination.errors import StoreUnavailable
from destination.partners.rehook import Rehook, RehookSettings
from destination.settings.modes import UnknownAwards
from destination.settings.tables import Settings
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from destination.support import metrics
from destination.worker.loop import Worker
from tests import misbehaving
from tests.conftest import arrival
from tests.misbehaving import read_request, response, server

SETTINGS = Settings(
    connect_timeout=1.0, read_timeout=1.0, lease=5.0, hold_probe=0.3, breaker_failures=0
)
CUT = "cut"


class Engine:
    """Answers each customer by a script of its own, and writes down what arrives, in order."""

    def __init__(self, **scripts):
        #: By customer; None for requests that name none.
        self.scripts: dict[str | None, list[bytes | str]] = {
            customer: list(script) for customer, script in scripts.items()
        }
        self.arrived = []
        self.paths = []
        self._lock = threading.Lock()

    def __call__(self, connection):
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            call = json.loads(body) if body else {}
            with self._lock:
                self.paths.append(head.split()[1].decode())
                self.arrived.append(call.get("event_name"))
                script = self.scripts.get(call.get("source_id"), [])
                answer = script.pop(0) if script else response(200)
            if answer == CUT:
                misbehaving.reset(connection)
                return
            connection.sendall(answer)

    def of(self, customer):
        return [name for name in self.arrived if name and name.startswith(customer)]


@contextmanager
def working(database, engine, settings=SETTINGS, **rehook):
    with server(engine) as url:
        rehook = {"concurrency": 8, **rehook}
        worker = Worker(database, {"rehook": Rehook(RehookSettings(url=url, **rehook))}, settings)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(15)
            assert not thread.is_alive()


def until(condition, seconds=20.0):
    """Wait for a condition, and fail when it does not come."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.01)


def rows(database):
    return {row["message_id"]: row for row in lists.deliveries(database)}


def settled(database, *, but=0):
    def condition():
        waiting = [
            row for row in rows(database).values() if row["status"] in ("pending", "sending")
        ]
        return len(waiting) <= but

    return condition


def identify(message_id, customer, code=None):
    payload = {"source_id": customer} | ({"referral_code": code} if code else {})
    made = arrival(message_id, customer)
    delivery = replace(
        made.deliveries[0], action="identifyUser", payload=json.dumps(payload), code=code
    )
    return replace(made, deliveries=(delivery,))


def test_each_customers_events_arrive_in_order(database):
    enqueue(database, [arrival(f"u{n % 7}-{n // 7}", f"u{n % 7}") for n in range(140)])
    engine = Engine()

    with working(database, engine):
        until(settled(database))
    for customer in range(7):
        assert engine.of(f"u{customer}-") == [f"u{customer}-{n}" for n in range(20)]
    assert {row["status"] for row in rows(database).values()} == {"delivered"}


def test_a_retry_keeps_its_place_and_delays_nobody_else(database):
    enqueue(database, [arrival(f"{c}-{n}", c) for n in range(3) for c in ("slow", "fast")])
    engine = Engine(slow=[response(503, b"", "Retry-After: 1"), response(500)])

    with working(database, engine):
        until(settled(database))
    assert engine.of("slow") == ["slow-0", "slow-0", "slow-0", "slow-1", "slow-2"]
    assert engine.arrived.index("fast-2") < engine.arrived.index("slow-1")
    assert rows(database)["slow-0"]["attempts"] == 3


def test_retry_after_is_never_early(database):
    enqueue(database, [arrival("m1")])
    engine = Engine(u1=[response(429, b"", "Retry-After: 2")])

    with working(database, engine):
        until(settled(database))
    attempts = lists.delivery(database, rows(database)["m1"]["id"])["attempt_list"]
    assert attempts[1]["started_at"] - attempts[0]["ended_at"] >= 2.0


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (response(400, b'{"code":401}'), "failed", "http_400"),
        (response(302, b"", "Location: /x"), "failed", "http_302"),
        (response(502), "uncertain", "http_502"),
        (CUT, "uncertain", "connection_lost"),
    ],
)
def test_what_cannot_be_delivered_now_is_kept_and_the_lane_goes_on(
    database, answer, status, reason
):
    enqueue(database, [arrival("u1-a"), arrival("u1-b")])
    engine = Engine(u1=[answer])

    with working(database, engine):
        until(settled(database))
    found = rows(database)
    assert (found["u1-a"]["status"], found["u1-a"]["reason"]) == (status, reason)
    assert found["u1-b"]["status"] == "delivered"
    assert engine.arrived == ["u1-a", "u1-b"]


def test_an_award_without_an_answer_in_time_is_uncertain_and_not_sent_again(database):
    enqueue(database, [arrival("m1")])
    asked = []

    def silent(connection):
        asked.append(read_request(connection))
        connection.recv(1)

    with working(database, silent):
        until(settled(database))
    assert rows(database)["m1"]["reason"] == "timeout"
    assert len(asked) == 1


def test_an_award_is_retried_where_the_setting_says_so(database):
    enqueue(database, [arrival("m1")])
    engine = Engine(u1=[CUT, response(504)])

    with working(database, engine, replace(SETTINGS, ambiguous=UnknownAwards.RETRY)):
        until(settled(database))
    assert engine.arrived == ["m1"] * 3
    assert rows(database)["m1"]["status"] == "delivered"


def test_a_customer_is_sent_again_when_the_answer_is_lost(database):
    enqueue(database, [identify("m1", "u1")])
    engine = Engine(u1=[CUT, response(502)])

    with working(database, engine):
        until(settled(database))
    assert engine.paths == ["/customers"] * 3
    assert rows(database)["m1"]["status"] == "delivered"


def test_wrong_credentials_hold_the_destination_and_lose_nothing(database):
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(20)])
    engine = Engine(**{f"u{n}": [response(401)] * 2 for n in range(20)})

    with working(database, engine, concurrency=4):
        until(lambda: lists.holds(database))
        until(lambda: len(engine.arrived) >= 5)
        assert {row["status"] for row in rows(database).values()} <= {"pending", "sending"}
        engine.scripts = {}  # the credentials are put right
        until(settled(database))
    assert lists.holds(database) == []
    assert {row["status"] for row in rows(database).values()} == {"delivered"}


def test_what_cannot_be_sent_at_all_waits(database):
    enqueue(database, [arrival("m1")])
    worker = Worker(
        database, {"rehook": Rehook(RehookSettings(url="http://127.0.0.1:1"))}, SETTINGS
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: rows(database)["m1"]["attempts"] >= 2)
    worker.stop()
    thread.join(15)

    assert (rows(database)["m1"]["status"], rows(database)["m1"]["reason"]) == (
        "pending",
        "not_sent",
    )


def test_after_the_horizon_a_delivery_has_failed(database):
    enqueue(database, [arrival("u1-a"), arrival("u1-b")])
    engine = Engine(u1=[response(503, b"", "Retry-After: 0")] * 3)

    with working(database, engine, replace(SETTINGS, retry_horizon=0.0001)):
        until(settled(database))
    assert (rows(database)["u1-a"]["status"], rows(database)["u1-a"]["attempts"]) == ("failed", 2)


def test_a_code_is_looked_up_before_the_customer_is_sent(database):
    enqueue(database, [identify("m1", "u1", "FREE"), identify("m2", "u2", "TAKEN")])
    owners = {"FREE": response(404), "TAKEN": response(200, b'{"source_id":"somebody"}')}
    sent = []

    def engine(connection):
        while request := read_request(connection):
            method, path, *_ = request.split()
            if method == b"GET":
                connection.sendall(owners[path.decode().rpartition("/")[2]])
            else:
                sent.append(json.loads(request.partition(b"\r\n\r\n")[2])["source_id"])
                connection.sendall(response(200))

    with working(database, engine, validate_codes=True):
        until(settled(database))
    found = rows(database)
    assert sent == ["u1"]
    assert (found["m1"]["status"], found["m1"]["attempts"]) == ("delivered", 2)
    assert (found["m2"]["status"], found["m2"]["reason"]) == ("failed", "referral_code_taken")
    [free_again] = enqueue(database, [identify("m3", "somebody", "TAKEN")])
    assert free_again.outcome == "accepted"


def test_a_customer_whose_code_was_looked_up_is_sent_though_codes_are_looked_up_no_more(database):
    enqueue(database, [identify("m1", "u1", "FREE")])
    looked_up = threading.Event()

    def engine(connection):
        while request := read_request(connection):
            asked = request.startswith(b"GET")
            connection.sendall(response(404 if asked else 200 if looked_up.is_set() else 503))

    with working(database, engine, validate_codes=True):
        until(lambda: rows(database)["m1"]["attempts"] > 1)
    looked_up.set()
    with working(database, engine, validate_codes=False):
        until(settled(database))
    assert rows(database)["m1"]["status"] == "delivered"


def test_every_request_is_an_attempt_and_every_attempt_a_request(database):
    enqueue(database, [arrival(f"u{n % 5}-{n}", f"u{n % 5}") for n in range(40)])
    engine = Engine(u0=[CUT, response(503)], u1=[response(400), response(502)], u2=[response(500)])

    with working(database, engine):
        until(settled(database))
    attempts = [
        json.loads(full["payload"])["event_name"]
        for row in rows(database).values()
        for full in [lists.delivery(database, row["id"])]
        for _ in full["attempt_list"]
    ]
    assert sorted(attempts) == sorted(engine.arrived)


def test_a_stop_settles_what_is_under_way(database):
    enqueue(database, [arrival("m1"), arrival("m2")])
    began, go_on = threading.Event(), threading.Event()

    def engine(connection):
        while read_request(connection):
            began.set()
            go_on.wait(10)
            connection.sendall(response(200))

    with working(database, engine) as worker:
        assert began.wait(10)
        worker.stop()
        go_on.set()
    found = rows(database)
    assert (found["m1"]["status"], found["m2"]["status"]) == ("delivered", "pending")


def test_a_stop_cuts_off_what_lasts_too_long(database, monkeypatch):
    enqueue(database, [arrival("m1")])
    monkeypatch.setattr("destination.worker.loop.GRACE", 0.2)
    began = threading.Event()

    def engine(connection):
        read_request(connection)
        began.set()
        connection.recv(1)

    with working(database, engine, replace(SETTINGS, read_timeout=30.0, lease=100.0)) as worker:
        assert began.wait(10)
        stopped = time.monotonic()
        worker.stop()
    assert time.monotonic() - stopped < 15  # its own timeout is thirty
    assert rows(database)["m1"]["status"] == "uncertain"


def test_no_send_starts_when_half_of_the_lease_has_gone(database, monkeypatch):
    enqueue(database, [arrival("m1")])
    ticks = iter([0.0, 100.0])  # claimed at 0, to be sent at 100
    monkeypatch.setattr("destination.worker.channel.clock", lambda: next(ticks, 100.0))
    engine = Engine()

    with working(database, engine):
        until(settled(database))
    first, *_ = lists.delivery(database, rows(database)["m1"]["id"])["attempt_list"]
    assert (first["trouble"], first["verdict"]) == ("late", "retry")
    assert engine.arrived == ["m1"]


def test_a_fault_of_ours_parks_the_delivery(database):
    made = arrival("m1")
    unknown = replace(made.deliveries[0], action="noSuchAction")
    enqueue(database, [replace(made, deliveries=(unknown,)), arrival("m2")])

    with working(database, Engine()):
        until(settled(database))
    assert (rows(database)["m1"]["status"], rows(database)["m1"]["reason"]) == (
        "uncertain",
        "fault",
    )
    assert rows(database)["m2"]["status"] == "delivered"


def test_a_database_that_is_away_for_a_while_costs_nothing(database, monkeypatch):

    enqueue(database, [arrival(f"m{n}") for n in range(5)])
    real, failures = poll.poll, iter([True, False, True, True, False])
    monkeypatch.setattr("destination.worker.loop.PAUSE", 0.05)

    def flaky(*args, **kwargs):
        if next(failures, False):
            raise StoreUnavailable("gone")
        return real(*args, **kwargs)

    monkeypatch.setattr(poll, "poll", flaky)
    engine = Engine()
    with working(database, engine):
        until(settled(database))
    assert engine.arrived == [f"m{n}" for n in range(5)]
    assert {row["status"] for row in rows(database).values()} == {"delivered"}


def test_what_a_killed_worker_left_is_taken_up_after_its_lease(database):

    enqueue(database, [arrival("u1-a"), arrival("u1-b"), identify("m2", "u2")])
    rate_limit.register(database, ["rehook"])
    wanted = [Capacity(destination="rehook", room=10)]
    killed = poll.poll(database, [], wanted, Terms(lease=0.5))
    assert len(killed.leases) == 2
    engine = Engine()

    with working(database, engine):
        until(settled(database))
    found = rows(database)
    assert (found["u1-a"]["status"], found["u1-a"]["reason"]) == ("uncertain", "worker_died")
    assert found["u1-b"]["status"] == "delivered"
    assert (found["m2"]["status"], found["m2"]["attempts"]) == ("delivered", 2)


def test_a_result_that_comes_after_its_lease_is_logged_as_late_and_counted_nowhere(timed, clock):
    enqueue(timed, [identify("m1", "u1")])
    began, go_on = threading.Event(), threading.Event()

    def engine(connection):
        while read_request(connection):
            if not began.is_set():
                began.set()
                go_on.wait(20)
            connection.sendall(response(200))

    def counted():
        verdicts = ("delivered", "retry")
        return [metrics.attempts.labels("rehook", each)._value.get() for each in verdicts]

    before = counted()
    patient = replace(SETTINGS, read_timeout=20.0, lease=50.0)
    with structlog.testing.capture_logs() as lines, working(timed, engine, patient) as worker:
        assert began.wait(10)
        clock.now += 51  # the lease has ended
        worker.wake()
        until(lambda: rows(timed)["m1"]["reason"] == "worker_died")
        clock.now += 2  # so has the wait before it is sent again
        worker.wake()
        until(settled(timed))
        go_on.set()
        until(lambda: any(line["event"].startswith("late") for line in lines))
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "not delivered"),  # as of a worker that died
        ("info", "late: its lease had ended"),
    ]
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1]
    assert (rows(timed)["m1"]["status"], rows(timed)["m1"]["attempts"]) == ("delivered", 2)


def test_an_idle_worker_hears_of_a_delivery_at_once(database, monkeypatch):
    monkeypatch.setattr("destination.worker.loop.POLL_EVERY", 60.0)
    engine = Engine()

    with working(database, engine):
        enqueue(database, [arrival("m1")])
        until(settled(database))
        monkeypatch.setattr("destination.worker.loop.POLL_EVERY", 60.0)
        enqueue(database, [arrival("m2")])
        until(settled(database), 10)
    assert engine.arrived == ["m1", "m2"]
