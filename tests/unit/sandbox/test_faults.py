"""The sandbox misbehaves exactly as it is told, and to nobody else."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from destination.sandbox import create_app, listening
from tests.unit.sandbox.client import AUTH, SandboxSession

EVENT = {"event_name": "Viewed", "source_id": "anna"}


class Client(SandboxSession):
    def arm(self, **fault: Any) -> requests.Response:
        return self.post("/_sandbox/faults", json=fault)

    def invoke(self, source_id: str = "anna") -> requests.Response:
        return self.post("/events/invoke", json={**EVENT, "source_id": source_id})

    def answers(self) -> list[int | None]:
        return [request["answer"] for request in self.get("/_sandbox/requests").json()]

    def awards(self) -> int:
        customers = self.get("/_sandbox/customers").json()
        return sum(len(customer["transactions"]) for customer in customers)


@pytest.fixture
def engine() -> Iterator[Client]:
    app = create_app(api_key=AUTH[0], api_secret=AUTH[1])
    with listening(app) as port, Client(port) as client:
        yield client


def test_a_status_is_answered_as_often_as_asked_and_processes_nothing(engine):
    engine.arm(path="/events/invoke", status=503, count=2)

    assert [engine.invoke().status_code for _ in range(3)] == [503, 503, 200]
    assert engine.answers() == [503, 503, 200]
    assert engine.awards() == 1


@pytest.mark.parametrize("status", [200, 204, 302, 304, 400, 401, 404, 429, 500, 599])
def test_any_status_can_be_asked_for(engine, status):
    engine.arm(path="/events/invoke", status=status)

    answer = engine.post("/events/invoke", json=EVENT, allow_redirects=False)
    assert answer.status_code == status
    assert engine.invoke().status_code == 200


def test_a_fault_answers_with_an_error_body(engine):
    engine.arm(path="/events/invoke", status=503)

    body = engine.invoke().json()
    assert list(body) == ["code", "key", "message", "details", "request_id"]
    assert body["code"] == 503


@pytest.mark.parametrize(
    ("given", "sent"),
    [(120, "120"), (1.5, "1.5"), ("soon", "soon"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2],
)
def test_retry_after_is_passed_as_it_is(engine, given, sent):
    engine.arm(path="/events/invoke", status=429, retry_after=given)

    assert engine.invoke().headers["Retry-After"] == sent


def test_dropped_before_nothing_is_answered_or_processed(engine):
    engine.arm(path="/events/invoke", drop="before")

    with pytest.raises(requests.ConnectionError):
        engine.invoke()
    assert engine.answers() == [None]
    assert engine.awards() == 0


def test_dropped_after_nothing_is_answered_though_it_is_processed(engine):
    engine.arm(path="/events/invoke", drop="after")

    with pytest.raises(requests.ConnectionError):
        engine.invoke()
    assert engine.answers() == [None]
    assert engine.awards() == 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_cut_connection_ends_without_a_byte(engine, drop):
    engine.arm(path="/events/segment/check-auth", drop=drop)

    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as raw:
        raw.sendall(b"GET /events/segment/check-auth HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100) == b""


def test_a_cut_connection_harms_no_other(engine):
    with Client(engine.port) as other:
        other.invoke("ben")
        engine.arm(path="/events/invoke", drop="after", source_id="anna")
        with pytest.raises(requests.ConnectionError):
            engine.invoke("anna")

        assert other.invoke("ben").status_code == 200
        assert engine.invoke("anna").status_code == 200


def test_a_delay_comes_before_the_answer(engine):
    engine.arm(path="/events/invoke", delay=0.2)

    began = time.monotonic()
    assert engine.invoke().status_code == 200
    assert time.monotonic() - began >= 0.2
    assert engine.awards() == 1


def test_a_delay_goes_before_a_status_and_before_a_cut(engine):
    engine.arm(path="/events/invoke", delay=0.1, status=500)
    engine.arm(path="/events/invoke", delay=0.1, drop="before")

    began = time.monotonic()
    assert engine.invoke().status_code == 500
    with pytest.raises(requests.ConnectionError):
        engine.invoke()
    assert time.monotonic() - began >= 0.2


def test_a_delayed_request_is_listed_before_it_is_answered(engine):
    engine.arm(path="/events/invoke", delay=5)
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"http://127.0.0.1:{engine.port}/events/invoke", json=EVENT, auth=AUTH, timeout=0.5
        )

    assert engine.answers() == [None]


def test_faults_are_used_in_the_order_in_which_they_were_armed(engine):
    engine.arm(path="/events/invoke", status=500)
    engine.arm(path="/customers", status=502)
    engine.arm(path="/events/invoke", status=503)

    assert [engine.invoke().status_code for _ in range(3)] == [500, 503, 200]
    assert [fault["status"] for fault in engine.get("/_sandbox/faults").json()] == [502]


def test_a_fault_for_one_customer_hits_no_other(engine):
    engine.arm(path="/events/invoke", status=503, source_id="ben")

    assert [engine.invoke(name).status_code for name in ("anna", "ben", "ben")] == [200, 503, 200]


@pytest.mark.parametrize(
    "path", ["/customers/validate-code/{code}", "/customers/validate-code/A B"]
)
def test_a_path_with_an_id_is_hit_by_its_endpoint_or_by_itself(engine, path):
    engine.arm(path=path, status=503)

    assert engine.get("/customers/KMN").status_code == 404
    assert engine.get("/customers/validate-code/A%20B").status_code == 503


def test_a_fault_stands_before_the_credentials(engine):
    engine.arm(path="/events/invoke", status=503)

    assert engine.post("/events/invoke", json=EVENT, auth=("", "")).status_code == 503


def test_armed_faults_are_listed_with_the_count_that_is_left(engine):
    armed = engine.arm(path="/events/invoke", status=503, retry_after="2", count=3)
    engine.invoke()

    assert armed.status_code == 201
    assert engine.get("/_sandbox/faults").json() == [
        {"path": "/events/invoke", "status": 503, "delay": 0, "retry_after": "2", "count": 2}
    ]


def test_a_null_in_a_fault_is_as_good_as_absent(engine):
    assert engine.arm(path="/customers", status=503, drop=None).status_code == 201


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({}, 'a "path"'),
        ({"path": "/events/invoke"}, "say what shall go wrong"),
        ({"path": "/event/invoke", "status": 503}, "no endpoint of the engine"),
        ({"path": "/_sandbox/reset", "status": 503}, "no endpoint of the engine"),
        ({"path": "/", "status": 503}, "no endpoint of the engine"),
        ({"path": 7, "status": 503}, "path must be"),
        ({"path": "/customers", "status": 199}, "status must be"),
        ({"path": "/customers", "status": 600}, "status must be"),
        ({"path": "/customers", "status": True}, "status must be"),
        ({"path": "/customers", "status": "503"}, "status must be"),
        ({"path": "/customers", "drop": "during"}, "drop must be"),
        ({"path": "/customers", "drop": "after", "status": 503}, "either status or drop"),
        ({"path": "/customers", "delay": -1}, "delay must be"),
        ({"path": "/customers", "delay": 1e999}, "delay must be"),
        ({"path": "/customers", "delay": 1, "retry_after": 1}, "retry_after goes with status"),
        ({"path": "/customers", "status": 503, "retry_after": "1\r\nX: y"}, "retry_after must be"),
        ({"path": "/customers", "status": 503, "retry_after": []}, "retry_after must be"),
        ({"path": "/customers", "status": 503, "count": 0}, "count must be"),
        ({"path": "/customers", "status": 503, "source_id": 7}, "source_id must be"),
        ({"path": "/customers", "staus": 503}, "unknown key 'staus'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(engine, fault, complaint):
    body = json.dumps(fault).replace("Infinity", "1e999")
    response = engine.post("/_sandbox/faults", data=body)

    assert response.status_code == 400
    assert complaint in response.json()["message"]
    assert engine.get("/_sandbox/faults").json() == []
