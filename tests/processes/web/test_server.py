"""The server of the receiver, as a process of its own: slow, large, hostile and many senders."""

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import wsgiref.simple_server
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
import requests

from destination.partners.base.credentials import basic
from destination.web.app import create_app
from tests.conftest import KEY
from tests.running import PATIENCE, Service, answers, until

#: `destination serve`, with bounds that a test can wait for.
SERVE = """
from destination.web import server
{}
from destination.cli import main
main(["serve"])
"""

SHOWN = f"Host: x\r\nAuthorization: {basic(KEY, '')}\r\n".encode()
HEAD = b"POST /webhooks/segment HTTP/1.1\r\n" + SHOWN + b"Content-Length: %d\r\n\r\n"
CALL = {"type": "track", "userId": "u", "event": "A", "messageId": "m"}


@contextlib.contextmanager
def serving(folder, bounds="", ready="/readyz", **settings):
    service = Service(folder, **settings)
    log = folder / "serve.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE.format(bounds)], env=service.environment, stderr=said
        )
    try:
        until(lambda: answers(f"{service.url}{ready}"))
        yield service, process, log
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def running(tmp_path):
    with serving(tmp_path, "server.WITHIN, server.MAX_IN_HAND = 1.0, 5000") as (service, _, _):
        yield service


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory):
    """A receiver with its own bounds, for tests that leave it as it was."""
    with serving(tmp_path_factory.mktemp("server"), LOG_FORMAT="json") as found:
        yield found


def connect(running):
    return contextlib.closing(socket.create_connection(("127.0.0.1", running.port), PATIENCE))


def read(connection):
    """What comes until the other side closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def ask(running, *parts):
    """What a request is answered: its status and its body as JSON. It asks to close."""
    with connect(running) as connection:
        with contextlib.suppress(OSError):  # it is refused before all is sent
            for part in parts:
                connection.sendall(part)
        head, _, body = read(connection).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body) if body[:1] == b"{" else body


def post(body, *headers, path=b"/webhooks/segment", shown=SHOWN):
    """A request that asks to close the connection behind it."""
    lines = [
        b"POST %s HTTP/1.1" % path,
        *headers,
        b"Connection: close",
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join(lines) + b"\r\n" + shown + b"\r\n" + body


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


def test_bodies_that_together_are_too_much_are_told_to_come_back(running):
    with connect(running) as first, connect(running) as second:
        first.sendall(HEAD % 4500 + b" " * 4000)
        time.sleep(0.2)
        second.sendall(HEAD % 4500 + b" " * 4000)

        answer = read(second)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in answer.lower()
    until(lambda: running.post("/webhooks/segment", []).status_code == 200)


def test_many_slow_senders_and_idle_connections_hold_up_nobody(running):
    with contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(connect(running))
            connection.sendall(HEAD % 10 if number % 2 else b"")

        assert running.send(CALL)[0]["outcome"] == "accepted"


@pytest.mark.parametrize("bound", ["MAX_CONNECTIONS = 3", "MAX_REQUESTS = 2"])
def test_one_too_many_is_told_to_come_back_and_harms_no_other(tmp_path, bound):
    with serving(tmp_path, f"server.{bound}") as (running, _, _), contextlib.ExitStack() as stack:
        welcome = [stack.enter_context(connect(running)) for _ in range(2)]
        for connection in welcome:
            connection.sendall(HEAD % 2)  # its body is on the way
        time.sleep(0.2)
        assert ask(running, post(b"[]"))[0] == 503

        for connection in welcome:
            connection.sendall(b"[]")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


#: Commits that begin with one file, and wait for another; meanwhile nobody may wait for the next.
HELD = """
import pathlib, time
from destination.store.queue import group_commit
real, group_commit.PATIENCE = group_commit.enqueue, 0.0
def enqueue(*given):
    pathlib.Path({0!r}, "begun").touch()
    while not pathlib.Path({0!r}, "go on").exists():
        time.sleep(0.01)
    return real(*given)
group_commit.enqueue = enqueue
"""


def test_while_commits_are_behind_the_app_is_not_asked(tmp_path):
    """It would say of this body that it cannot be read."""
    held = HELD.format(str(tmp_path))
    with serving(tmp_path, held) as (running, _, _), ThreadPoolExecutor() as senders:

        def look():
            return requests.post(
                f"{running.url}/webhooks/segment", data="{", auth=(KEY, ""), timeout=PATIENCE
            )

        assert look().status_code == 400
        kept = senders.submit(running.send, {**CALL, "messageId": "m1"})
        until((tmp_path / "begun").exists)
        waits = senders.submit(running.send, {**CALL, "messageId": "m2"})
        until(lambda: look().status_code == 503)
        assert look().headers["Retry-After"] == "5"
        assert answers(f"{running.url}/healthz")
        (tmp_path / "go on").touch()
        assert [each.result()[0]["outcome"] for each in (kept, waits)] == ["accepted"] * 2
        assert look().status_code == 400


def test_a_head_has_a_bound(open_to_all):
    running, _, _ = open_to_all

    assert ask(running, post(b"[]", b"X-A: " + b"a" * 70_000)) == (
        431,
        {"code": "head_too_large", "message": "The head has more than 65,536 bytes."},
    )
    assert ask(running, post(b"[]", *([b"X-A: b"] * 20_000)))[0] in (400, 431)
    assert ask(running, post(b"[]", b"X-A: " + b"a" * 2_000_000))[0] in (400, 431)
    assert ask(running, post(b"[]", b"X-A: " + b"a" * 60_000))[0] == 200


def test_an_upgrade_is_ignored_and_the_body_read(open_to_all):
    """As `curl --http2` and Java's client ask for it."""
    running, _, _ = open_to_all
    body = json.dumps(CALL | {"messageId": "h2c"}).encode()

    status, answer = ask(running, post(body, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"))
    assert (status, answer["results"][0]["outcome"]) == (200, "accepted")


def test_credentials_behind_the_body_are_none(open_to_all):
    running, _, _ = open_to_all
    head = (
        b"POST /webhooks/segment HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"
    )
    status, answer = ask(running, head, b"2\r\n[]\r\n0\r\n", SHOWN + b"\r\n")

    assert (status, answer["code"]) == (401, "unauthorized")


def test_a_chunked_body_is_read(open_to_all):
    running, _, _ = open_to_all
    head = b"POST /webhooks/segment HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"

    assert ask(running, head + SHOWN + b"\r\n", b"1\r\n[\r\n1;x=y\r\n]\r\n0\r\n\r\n")[0] == 200


def test_no_header_passes_for_another(open_to_all):
    """`X_Signature` and `X-Signature` are one name to WSGI."""
    running, _, _ = open_to_all
    forged = b"Authorization_: x\r\nAuthorization: wrong\r\nHost: x\r\n"

    assert ask(running, post(b"[]", shown=forged))[0] == 401
    assert (
        ask(running, post(b"[]", shown=SHOWN.replace(b"Authorization", b"AUTHORIZATION")))[0] == 200
    )
    assert (
        ask(running, post(b"[]", shown=b"Host: x\r\nContent_Length: 9\r\n" + SHOWN[9:]))[0] == 200
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_stranger_who_sends_much_is_refused_before_it_is_read(open_to_all, packed):
    running, _, _ = open_to_all
    body = b"x" * 4_000_000
    if packed:
        body = gzip.compress(os.urandom(2_000_000))
    began = time.monotonic()

    status, answer = ask(running, post(body, shown=b"Host: x\r\n"))
    assert (status, answer["code"]) == (401, "unauthorized")
    assert time.monotonic() - began < PATIENCE / 10


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/webhooks/segment", b""),
        (b"/webhooks/segment", b"X-Signature: %s\r\n" % (b"0" * 40)),
        (b"/v1/batch", b""),
    ],
)
def test_a_small_body_that_unpacks_to_much_costs_a_stranger_no_more_than_a_look(
    open_to_all, path, shown
):
    """4 KB were 1.4 s of processor time, and 280 MB."""
    running, process, _ = open_to_all
    body = gzip.compress(b"[" * 4_000_000)
    request = post(body, b"Content-Encoding: gzip", path=path, shown=b"Host: x\r\n" + shown)
    before = cpu(process.pid)
    for _ in range(20):
        assert ask(running, request)[0] == 401

    assert (cpu(process.pid) - before) / 20 < 0.02  # far less: this is no timed test


def cpu(pid):
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_answer_that_nobody_reads_is_given_up(tmp_path):
    """Its sender sends on, and its window is closed."""
    with serving(tmp_path, "server.WITHIN = 1.0") as (running, process, _):
        unread = json.dumps([{}] * 4000).encode()
        request = HEAD % len(unread) + unread
        with contextlib.closing(socket.socket()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", running.port))
            sender = Thread(target=connection.sendall, args=(request * 3,), daemon=True)
            sender.start()
            until(lambda: len(connections(process.pid)) > 0)
            until(lambda: not connections(process.pid))
            assert answers(f"{running.url}/healthz")


def connections(pid):
    """The sockets that a process has, beside those on which it listens."""
    states = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        states[fields[9]] = fields[3]
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inode = str(each.readlink()).partition("socket:[")[2].rstrip("]")
            if states.get(inode, "0A") not in ("0A", "08"):
                found.append(inode)
    return found


def test_malformed_requests_are_counted_and_few_are_logged_as_json(open_to_all):
    running, _, log = open_to_all

    def counted():
        text = requests.get(f"{running.url}/metrics", timeout=PATIENCE).text
        name = 'destination_requests_turned_away_total{status="400"}'
        return next(
            (float(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0
        )

    before = counted()
    for _ in range(30):
        assert ask(running, b"nonsense\r\n\r\n")[0] == 400
    assert counted() - before >= 30
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert 0 < sum("Invalid HTTP request" in line["event"] for line in lines) <= 10


def test_a_base_url_that_ends_in_a_slash_is_served_like_others(running):
    for number in range(12):
        sent = {**CALL, "messageId": f"m{number}"}
        answer = running.post("//webhooks/segment", sent)
        assert answer.json()["results"][0]["outcome"] == "accepted"


def test_a_sender_who_leaves_in_the_middle_of_a_body_is_not_taken_for_whole(open_to_all):
    running, _, _ = open_to_all
    with connect(running) as connection:
        connection.sendall(HEAD % 100 + json.dumps(CALL | {"messageId": "half"}).encode())
    assert running.send({**CALL, "messageId": "whole"})[0]["outcome"] == "accepted"

    assert "half" not in running.deliveries()


def test_a_large_body_is_taken_and_holds_up_nobody(open_to_all):
    running, _, _ = open_to_all
    calls = [
        {**CALL, "messageId": f"large{n}", "properties": {"x": "y" * 900}} for n in range(3500)
    ]
    with ThreadPoolExecutor(1) as sender:
        large = sender.submit(running.send, *calls)
        while not large.done():
            assert answers(f"{running.url}/healthz")
        assert {result["outcome"] for result in large.result()} == {"accepted"}


def test_the_app_runs_under_a_plain_wsgi_server_too(setup, tmp_path):
    """Views wait in the threads of that server."""
    receiver = setup(DATABASE_URL=f"sqlite:///{tmp_path / 'plain.db'}").receiver()
    with wsgiref.simple_server.make_server("127.0.0.1", 0, create_app(receiver)) as plain:
        Thread(target=plain.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{plain.server_port}"

        answer = requests.post(f"{url}/webhooks/segment", json=CALL, auth=(KEY, ""), timeout=30)
        assert answer.json()["results"][0]["outcome"] == "accepted"
        assert requests.get(f"{url}/readyz", timeout=30).json()["status"] == "ready"
        plain.shutdown()


def test_a_stopping_receiver_does_not_wait_for_a_view_that_hangs(tmp_path):
    """As one does whose database hangs."""
    hanging = """
import time
from destination.web import health
health.standings = lambda _: time.sleep(600)
"""
    bounds = "server.GRACE = 1\n" + hanging
    with serving(tmp_path, bounds, ready="/healthz") as (service, process, _):
        with pytest.raises(requests.Timeout):
            requests.get(f"{service.url}/metrics", timeout=1)
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 0
