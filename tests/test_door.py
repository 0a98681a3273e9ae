"""The door of the receiver, as a process of its own: slow, large and many senders."""

import contextlib
import socket
import subprocess
import sys
import time

import pytest
import requests

from destination.web import door
from tests.running import PATIENCE, Service, answers, until

#: `destination serve`, with bounds that a test can wait for.
SERVE = """
from destination.web import door
door.WITHIN, door.MAX_BYTES = 1.0, 5000
from destination.cli import main
main(["serve"])
"""

HEAD = b"POST /webhooks/segment HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def running(tmp_path):
    service = Service(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=service.environment)
    try:
        until(lambda: answers(f"{service.url}/readyz"))
        yield service
    finally:
        process.terminate()
        process.wait(PATIENCE)


def connect(running):
    return contextlib.closing(socket.create_connection(("127.0.0.1", running.port), PATIENCE))


def read(connection):
    """What comes until the other side closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def trickle(connection, data):
    with contextlib.suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)


def test_a_body_that_trickles_is_cut_off_and_told(running):
    with connect(running) as connection:
        connection.sendall(HEAD % 100)
        trickle(connection, b"{" * 15)

        answer = read(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not come within 1 seconds" in answer


def test_a_head_that_trickles_is_cut_off(running):
    with connect(running) as connection:
        trickle(connection, b"POST /webhooks/segment")

        assert read(connection) == b""


def test_bodies_that_together_are_too_much_are_told_to_come_back(running):
    with connect(running) as first, connect(running) as second:
        first.sendall(HEAD % 4500 + b" " * 4000)
        time.sleep(0.2)
        second.sendall(HEAD % 4500 + b" " * 4000)

        answer = read(second)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in answer.lower()
    until(lambda: requests.post(f"{running.url}/webhooks/segment", json=[]).status_code == 200)


def test_many_slow_senders_and_idle_connections_hold_up_nobody(running):
    with contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(connect(running))
            connection.sendall(HEAD % 10 if number % 2 else b"")
        call = {"type": "track", "userId": "u", "event": "A", "messageId": "m"}

        assert running.send(call)[0]["outcome"] == "accepted"


def test_no_header_passes_for_another():
    """`X_Signature` and `X-Signature` are one name to WSGI."""
    scope = {
        "method": "POST",
        "path": "/webhooks/segment",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": None,
        "headers": [(b"x_signature", b"forged"), (b"x-signature", b"real")],
    }

    assert door._environ(scope, b"")["HTTP_X_SIGNATURE"] == "real"
