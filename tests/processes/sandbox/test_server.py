"""The sandbox's server: connections stay open, serve side by side, and end when it stops."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from destination.sandbox import create_app, listening, serve

AUTH = ("key", "secret")
HEADERS = {"Authorization": "Basic " + b64encode(b"key:secret").decode()}
EVENT = json.dumps({"event_name": "Viewed", "source_id": "anna"})


@pytest.fixture
def port() -> Iterator[int]:
    with listening(create_app(api_key=AUTH[0], api_secret=AUTH[1])) as port:
        yield port


def connect(port: int) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10))


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | bytes | Iterable[bytes] | None = None,
) -> tuple[int, bytes]:
    connection.request(method, path, body, HEADERS, encode_chunked=True)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_one_connection_serves_many_requests_and_none_waits_for_nagle(port):
    began = time.monotonic()
    with connect(port) as connection:
        ask(connection, "POST", "/events/invoke", EVENT)
        first = connection.sock
        for _ in range(200):
            ask(connection, "POST", "/events/invoke", EVENT)

        assert connection.sock is first
    assert time.monotonic() - began < 200 * 0.04


@pytest.mark.parametrize("path", ["/", "/_sandbox/requests", "/nowhere", "/customers/anna"])
def test_a_body_that_nobody_wants_is_no_part_of_the_next_request(port, path):
    with connect(port) as connection:
        for body in (b"x" * 100_000, iter([b"a", b"bc"])):
            ask(connection, "GET", path, body)

            assert ask(connection, "GET", "/events/segment/check-auth")[0] == 200


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(
            b"POST /events/invoke HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 2\r\n\r\n"
        )

        assert raw.recv(1000).startswith(b"HTTP/1.1 100 ")


def test_fifty_clients_at_once_are_served_and_nothing_is_lost(port):
    def call(number: int) -> list[int]:
        event = json.dumps({"event_name": "Viewed", "source_id": f"customer {number % 5}"})
        with connect(port) as connection:
            return [ask(connection, "POST", "/events/invoke", event)[0] for _ in range(10)]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(call, range(50)))

    assert answers == [[200] * 10] * 50
    with connect(port) as connection:
        arrived = json.loads(ask(connection, "GET", "/_sandbox/requests")[1])
        customers = json.loads(ask(connection, "GET", "/_sandbox/customers")[1])
    assert [request["number"] for request in arrived] == list(range(1, 501))
    assert [customer["points"] for customer in customers] == [100] * 5


def test_a_stopped_sandbox_cuts_the_connections_that_are_open():
    with listening(create_app(api_key=AUTH[0], api_secret=AUTH[1])) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        ask(client, "POST", "/events/invoke", EVENT)

    with closing(client), pytest.raises(ConnectionError):
        ask(client, "POST", "/events/invoke", EVENT)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_a_host_that_is_not_loopback_is_refused(host):
    with pytest.raises(ValueError, match="is not loopback"):
        serve(host=host, api_key="key", api_secret="secret")


RUN = """
from destination.sandbox import serve
serve(api_key="key", api_secret="secret", ready=lambda port: print(port, flush=True))
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_at_once_and_without_a_word_whatever_is_open(process, ended_by):
    port = int(process.stdout.readline())
    with connect(port) as idle, connect(port) as dropped, connect(port) as waiting:
        for fault in ({"drop": "after"}, {"delay": 60}):
            armed = json.dumps({"path": "/events/invoke", **fault})
            ask(idle, "POST", "/_sandbox/faults", armed)
        with pytest.raises(ConnectionError):
            ask(dropped, "POST", "/events/invoke", EVENT)
        waiting.request("POST", "/events/invoke", EVENT, HEADERS)

        began = time.monotonic()
        os.kill(process.pid, ended_by)
        output, noise = process.communicate(timeout=10)

    assert time.monotonic() - began < 10
    assert (process.returncode, output, noise) == (0, "", "")
