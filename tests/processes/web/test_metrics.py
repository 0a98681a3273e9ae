"""What Prometheus is told, and who is not in it."""

import re
import subprocess
import sys

import requests

from destination.errors import StoreUnavailable
from destination.model.verdict import Verdict
from destination.store import workers
from destination.store.database import Database
from destination.store.queue import circuit_breaker
from destination.store.queue.enqueue import enqueue
from destination.support import metrics
from tests.conftest import arrival
from tests.leasing import acknowledge, lease, outcome
from tests.running import answers, service, until
from tests.unit.web.test_receive import make  # noqa: F401 - a fixture

CANARY = "canary@example.com"


def samples(text):
    """`{'destination_waiting{destination="rehook"}': 3.0}`."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_what_stands_in_the_database_is_told_by_destination(make):  # noqa: F811
    client = make()
    enqueue(client.database, [arrival(f"m{n}", f"u{n}") for n in range(4)])
    one, two, *_ = lease(client.database, 2)
    acknowledge(client.database, outcome(one, Verdict.UNKNOWN), outcome(two, Verdict.REJECTED))
    circuit_breaker.hold(client.database, "rehook")

    page = client.get("/metrics")
    told = samples(page.get_data(as_text=True))
    assert page.content_type.startswith("text/plain")
    assert told['destination_waiting{destination="rehook"}'] == 2
    assert told['destination_uncertain{destination="rehook"}'] == 1
    assert told['destination_failed{destination="rehook"}'] == 1
    assert told['destination_held{destination="rehook"}'] == 1
    assert told['destination_oldest_waiting_seconds{destination="rehook"}'] > 0
    ready = client.get("/readyz").get_json()
    assert ready["destinations"]["rehook"]["waiting"] == 2
    assert ready["holds"][0]["reason"] == "by_hand"


def test_who_delivers_is_told(make):  # noqa: F811
    client = make()
    assert client.get("/readyz").get_json()["workers"] == {"alive": 0, "noWorkerSince": None}
    workers.say_alive(client.database, "one")
    workers.say_alive(client.database, "two")

    assert client.get("/readyz").get_json()["workers"] == {"alive": 2, "noWorkerSince": None}
    told = samples(client.get("/metrics").get_data(as_text=True))
    assert told["destination_workers_alive"] == 2


#: `destination serve`, for which a worker is missing after half a second.
IMPATIENT = """
from destination.store import workers
from destination.web import workers as watch
workers.BELIEVED, watch.LOOK_EVERY = 0.5, 0.1
from destination.cli import main
main(["serve"])
"""


def test_a_receiver_says_that_no_worker_runs_and_that_one_runs_again(tmp_path):
    said = tmp_path / "log"
    with service(tmp_path) as running, said.open("w") as log:
        command = [sys.executable, "-c", IMPATIENT]
        running.processes.append(subprocess.Popen(command, env=running.environment, stderr=log))
        until(lambda: "no worker runs, and nothing is delivered" in said.read_text())
        since = requests.get(f"{running.url}/readyz", timeout=5).json()["workers"]["noWorkerSince"]
        running.start("worker")
        until(lambda: "a worker runs again" in said.read_text())

    assert since.endswith("Z")


def test_a_request_that_is_turned_away_is_counted(make):  # noqa: F811
    client = make(SEGMENT_SHARED_SECRET="abc")
    before = samples(metrics.text(metrics.RECEIVER, {}).decode())
    client.post("/webhooks/segment", json={})
    told = samples(client.get("/metrics").get_data(as_text=True))

    name = 'destination_requests_turned_away_total{status="401"}'
    assert told[name] - before.get(name, 0) == 1


def test_while_the_database_is_away_the_receiver_tells_what_it_counted(make, monkeypatch):  # noqa: F811
    client = make()

    def away(*_):
        raise StoreUnavailable("gone")

    monkeypatch.setattr("destination.web.health.standings", away)
    monkeypatch.setattr(Database, "check_writable", away)
    told = client.get("/metrics").get_data(as_text=True)
    assert "destination_requests_turned_away" in told
    assert "destination_waiting{" not in told
    said = client.get("/readyz").get_json()["message"]
    assert said.startswith("The database cannot be used right now.")


def test_a_receiver_tells_what_the_worker_beside_it_counted(tmp_path):
    with service(tmp_path, REHOOK_RATE_LIMIT="50") as running:
        running.start("serve", "--worker", "--sandbox", "--sandbox-port", str(running.sandbox_port))

        def told():
            try:
                text = requests.get(f"{running.url}/metrics", timeout=5).text
            except requests.RequestException:
                return {}
            assert len(re.findall("^# TYPE", text, re.M)) == len(
                set(re.findall("^# TYPE .*", text, re.M))
            )
            assert CANARY not in text
            return samples(text)

        until(lambda: told() and answers(f"{running.engine_url}/_sandbox/requests"))
        call = {"type": "track", "userId": CANARY, "event": "Order Completed"}
        running.send(*({**call, "messageId": f"{CANARY}{n}"} for n in range(3)))
        running.send({"type": "track", "event": CANARY, "messageId": "m"})
        expected = {
            'destination_calls_received_total{outcome="accepted",source="segment"}': 3,
            'destination_calls_discarded_total{reason="id_required",source="segment"}': 1,
            'destination_attempts_total{destination="rehook",verdict="delivered"}': 3,
            'destination_deliveries_settled_total{destination="rehook",status="delivered"}': 3,
            'destination_answer_seconds_count{destination="rehook"}': 3,
            'destination_waited_seconds_count{destination="rehook"}': 3,
        }
        until(lambda: expected.items() <= told().items())
