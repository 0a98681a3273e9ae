"""The whole way, over real processes and sockets: Segment's calls in, the engine's requests out."""

import hashlib
import hmac
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
import requests
from segment.analytics.client import Client

from tests.conftest import KEY
from tests.running import Service, free_port, service, until


@pytest.fixture
def running(tmp_path):
    with service(tmp_path) as found:
        found.sandbox()
        found.serve()
        yield found


def order(number, customer="ada", total=100):
    return {
        "type": "track",
        "messageId": f"{customer}-{number}",
        "userId": customer,
        "event": "Order Completed",
        "properties": {"number": number, "total": total},
    }


def identify(customer, **traits):
    return {
        "type": "identify",
        "messageId": f"{customer}-identify",
        "userId": customer,
        "traits": traits,
    }


def bodies(running: Service, customer: str) -> list[object]:
    return [request["body"] for request in running.arrived(customer)]


def test_a_webhook_makes_a_customer_who_earns_points(running):
    running.start("worker")
    running.send(identify("ada", name="Ada", referral_code="ADA1"))
    running.send(order(1))
    until(running.settled)

    assert bodies(running, "ada") == [
        {
            "source_id": "ada",
            "metadata": {"name": "Ada", "referral_code": "ADA1"},
            "referral_code": "ADA1",
        },
        {
            "event_name": "Order Completed",
            "source_id": "ada",
            "metadata": {"number": 1, "total": 100},
        },
    ]
    customer = running.customers()["ada"]
    assert (customer["metadata"]["name"], customer["referral_code"], customer["points"]) == (
        "Ada",
        "ADA1",
        10,
    )


def test_order_is_kept_and_a_duplicate_ignored(running):
    running.start("worker")
    for number in range(30):
        running.send(order(number), order(number, "bob"))
        assert running.send(order(number))[0]["outcome"] == "duplicate"
    until(running.settled)

    for customer in ("ada", "bob"):
        numbers = [body["metadata"]["number"] for body in bodies(running, customer)]
        assert numbers == list(range(30))


def test_an_engine_that_is_away_twice_is_tried_again(running):
    running.start("worker")
    running.fault(path="/events/invoke", status=503, count=2, retry_after=1, source_id="ada")
    running.send(order(1), order(2), order(1, "bob"))
    until(running.settled)

    assert [request["answer"] for request in running.arrived("ada")] == [503, 503, 200, 200]
    assert [row["status"] for row in running.deliveries().values()] == ["delivered"] * 3
    assert len(running.customers()["ada"]["transactions"]) == 2


def test_an_award_that_is_cut_off_after_the_commit_is_uncertain_and_paid_once(running):
    running.start("worker")
    running.fault(path="/events/invoke", drop="after", source_id="ada")
    running.send(order(1), order(2))
    until(running.settled)

    found = running.deliveries()
    assert (found["ada-1"]["status"], found["ada-1"]["reason"]) == ("uncertain", "connection_lost")
    assert found["ada-2"]["status"] == "delivered"
    assert len(running.customers()["ada"]["transactions"]) == 2

    settled = running.run("deliveries", "settle", "--delivered", str(found["ada-1"]["id"]))
    assert settled.returncode == 0
    assert running.deliveries()["ada-1"]["status"] == "delivered"
    assert len(running.arrived("ada")) == 2


def test_a_worker_that_is_killed_in_mid_send_loses_nothing_and_awards_nothing_twice(running):
    first = running.start("worker")
    running.fault(path="/events/invoke", delay=1.5, count=50)
    running.send(
        *(order(number, customer) for number in range(3) for customer in ("ada", "bob", "eve"))
    )
    until(lambda: len(running.arrived()) >= 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    requests.post(f"{running.engine_url}/_sandbox/reset", timeout=30)
    running.start("worker")
    until(running.settled)

    found = running.deliveries()
    for customer in ("ada", "bob", "eve"):
        assert found[f"{customer}-0"]["reason"] == "worker_died"
        assert found[f"{customer}-0"]["status"] == "uncertain"
        numbers = [body["metadata"]["number"] for body in bodies(running, customer)]
        assert numbers == [1, 2]


def test_a_receiver_that_is_killed_loses_nothing_that_it_acknowledged(running, tmp_path):
    acknowledged = []

    def send():
        for number in range(500):
            try:
                running.send(order(number))
            except (requests.RequestException, AssertionError):
                return
            acknowledged.append(f"ada-{number}")

    sender = threading.Thread(target=send)
    sender.start()
    until(lambda: len(acknowledged) > 20)
    [serve] = [process for process in running.processes if "serve" in process.args]
    serve.send_signal(signal.SIGKILL)
    serve.wait()
    sender.join()
    running.serve()
    running.start("worker")
    until(running.settled)

    found = running.deliveries()
    assert set(acknowledged) <= set(found)
    assert {row["status"] for row in found.values()} == {"delivered"}
    numbers = [body["metadata"]["number"] for body in bodies(running, "ada")]
    assert numbers == list(range(len(numbers)))


def test_a_worker_and_a_receiver_stop_in_good_order(running):
    worker = running.start("worker")
    running.fault(path="/events/invoke", delay=1.0)
    running.send(order(1), order(2))
    until(lambda: running.arrived("ada"))
    worker.terminate()
    assert worker.wait(10) == 0

    found = running.deliveries()
    assert (found["ada-1"]["status"], found["ada-2"]["status"]) == ("delivered", "pending")
    [serve] = [process for process in running.processes if "serve" in process.args]
    serve.send_signal(signal.SIGINT)
    assert serve.wait(10) == 0


def test_segments_own_client_can_be_pointed_at_the_service(tmp_path):
    with service(tmp_path) as running:
        running.sandbox()
        running.serve()
        running.start("worker")
        problems = []
        for gzip in (False, True):
            client = Client(
                KEY, host=running.url, gzip=gzip, on_error=lambda error, _: problems.append(error)
            )
            client.identify(f"ada-{gzip}", {"name": "Ada"})
            for number in range(25):
                client.track(f"ada-{gzip}", "Order Completed", {"number": number, "total": 10})
            client.page(f"ada-{gzip}", "Home")
            client.flush()
            client.join()
        until(running.settled)

        assert problems == []
        for gzip in (False, True):
            made, *orders = bodies(running, f"ada-{gzip}")
            assert made == {"source_id": f"ada-{gzip}", "metadata": {"name": "Ada"}}
            assert [body["metadata"]["number"] for body in orders] == list(range(25))


def test_a_signed_batch_goes_the_whole_way_and_a_forged_one_nowhere(tmp_path):
    closed = {
        "SEGMENT_SHARED_SECRET": "abc123",
        "CAPILLARY_WEBHOOK_PASSWORD": "c",
        "NOTIFICATIONS_PASSWORD": "n",
    }
    with service(tmp_path, **closed, HOST="0.0.0.0") as running:
        running.sandbox()
        running.serve()
        running.start("worker")
        body = json.dumps([order(1), order(2)]).encode()
        signature = hmac.new(b"abc123", body, hashlib.sha1).hexdigest()
        url = f"{running.url}/webhooks/segment"
        statuses = [
            requests.post(url, data=sent, headers={"X-Signature": given}, timeout=30).status_code
            for sent, given in [(body, signature), (body + b" ", signature), (body, "")]
        ]
        until(running.settled)

        assert statuses == [200, 401, 401]
        assert len(running.arrived("ada")) == 2


def test_wrong_credentials_hold_the_engine_until_they_are_right(tmp_path):
    with service(tmp_path, REHOOK_API_SECRET="wrong") as running:
        running.sandbox()
        running.serve()
        worker = running.start("worker")
        running.send(order(1), order(2))
        until(lambda: requests.get(f"{running.url}/readyz", timeout=30).json()["holds"])
        worker.terminate()
        worker.wait()
        checked = running.run("check")
        assert checked.returncode == 1
        assert "DESTINATION_REHOOK_API_KEY and DESTINATION_REHOOK_API_SECRET" in checked.stderr

        running.settings["REHOOK_API_SECRET"] = "sandbox"
        assert running.run("check").returncode == 0
        running.start("worker")
        until(running.settled)
        assert requests.get(f"{running.url}/readyz", timeout=30).json()["holds"] == []
        assert len(running.customers()["ada"]["transactions"]) == 2


def test_many_slow_senders_hold_up_nobody(running):
    slow = []
    try:
        for _ in range(400):
            connection = socket.create_connection(("127.0.0.1", running.port))
            connection.sendall(b"POST /webhooks/segment HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
            slow.append(connection)
        assert running.send(order(1))[0]["outcome"] == "accepted"
        assert requests.get(f"{running.url}/healthz", timeout=5).ok
    finally:
        for connection in slow:
            connection.close()


def test_serve_restarts_a_worker_beside_it_that_died(tmp_path):
    with service(tmp_path) as running:
        running.start("serve", "--worker", "--sandbox", "--sandbox-port", str(running.sandbox_port))
        until(lambda: _up(running))
        [serve] = running.processes
        worker = _children(serve.pid)["worker"]

        os.kill(worker, signal.SIGKILL)
        until(lambda: _children(serve.pid).get("worker", worker) != worker)
        running.send(order(1))
        until(running.settled)
        serve.send_signal(signal.SIGINT)
        assert serve.wait(25) == 0
        assert running.deliveries()["ada-1"]["status"] == "delivered"


def test_a_worker_beside_a_receiver_that_is_killed_finishes_what_is_under_way_and_stops(running):
    serve = running.start("serve", "--worker", PORT=str(free_port()))
    until(lambda: "worker" in _children(serve.pid))
    worker = _children(serve.pid)["worker"]
    running.fault(path="/events/invoke", delay=1.0)
    running.send(order(1), order(2))
    until(running.arrived)
    serve.kill()

    until(lambda: not _lives(worker))
    found = running.deliveries()
    assert (found["ada-1"]["status"], found["ada-2"]["status"]) == ("delivered", "pending")


def _lives(pid):
    """Whether a process is there, and not only the trace that nobody has looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _up(running):
    try:
        return requests.get(f"{running.url}/readyz", timeout=1).ok and running.arrived() == []
    except requests.RequestException:
        return False


def _children(pid):
    """The commands of a process's children, with their ids: `{"worker": 17}`."""

    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            if len(words) > 3:  # the dead have no words
                found[words[3]] = int(child)
    return found
