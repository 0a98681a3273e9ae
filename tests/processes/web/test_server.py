"""The door of the receiver, as a process of its own: slow, large and many senders."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import uvicorn
from uvicorn.server import ServerState

from destination.web import server
from destination.web.bridge import run, wait
from tests.running import PATIENCE, Service, answers, until

#: `destination serve`, with bounds that a test can wait for.
SERVE = """
from destination.web import server
{}
from destination.cli import main
main(["serve"])
"""

HEAD = b"POST /webhooks/segment HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

#: A request, as uvicorn tells it.
SCOPE = {
    "method": "POST",
    "path": "/webhooks/segment",
    "query_string": b"",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 80),
    "client": None,
    "headers": [],
}


@contextlib.contextmanager
def serving(folder, bounds, ready="/readyz"):
    service = Service(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(bounds)], env=service.environment, text=True
    )
    try:
        service.processes = [process]
        until(lambda: answers(f"{service.url}{ready}"))
        yield service
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def running(tmp_path):
    with serving(tmp_path, "server.WITHIN, server.MAX_BYTES = 1.0, 5000") as service:
        yield service


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


def test_one_connection_too_many_is_told_to_come_back_and_harms_no_other(tmp_path):
    with (
        serving(tmp_path, "server.MAX_CONNECTIONS = 3") as running,
        contextlib.ExitStack() as stack,
    ):
        welcome = [stack.enter_context(connect(running)) for _ in range(3)]
        late = stack.enter_context(connect(running))
        late.sendall(HEAD % 2 + b"[]")
        welcome[0].sendall(HEAD.replace(b"Host", b"Connection: close\r\nHost") % 2 + b"[]")

        answer = read(late)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in answer.lower()
        assert read(welcome[0]).startswith(b"HTTP/1.1 200 ")


#: `destination serve` whose commits begin with one file, and wait for another; meanwhile nobody may
#: wait for the next one.
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
    call = {"type": "track", "userId": "u", "event": "A"}
    with serving(tmp_path, HELD.format(str(tmp_path))) as running, ThreadPoolExecutor() as senders:

        def look():
            return requests.post(f"{running.url}/webhooks/segment", data="{", timeout=PATIENCE)

        assert look().status_code == 400
        kept = senders.submit(running.send, {**call, "messageId": "m1"})
        until((tmp_path / "begun").exists)
        waits = senders.submit(running.send, {**call, "messageId": "m2"})
        until(lambda: look().status_code == 503)
        assert look().headers["Retry-After"] == "5"
        assert answers(f"{running.url}/healthz")
        (tmp_path / "go on").touch()
        assert [each.result()[0]["outcome"] for each in (kept, waits)] == ["accepted"] * 2
        assert look().status_code == 400


def entering(app, behind=False):
    """The door of an app that is behind with its work or not."""
    return server.WholeRequests(app, 100, lambda: behind)


async def ask(entrance, method="POST", waited=0.0, path="/webhooks/segment"):
    """Send it a request, which is whole since some seconds: the status of its answer, and when to
    come back.
    """
    told = []

    async def receive():
        return {"type": "http.request", "body": b"[]"}

    async def send(message):
        told.append(message)

    whole = time.monotonic() - waited
    await entrance(
        {**SCOPE, "method": method, "path": path, "state": {"whole": whole}}, receive, send
    )
    return told[0]["status"], dict(told[0]["headers"]).get(b"retry-after")


@contextlib.asynccontextmanager
async def connected():
    """Our end of a connection, and the writer of the other one."""
    config = uvicorn.Config(entering(None), http=server._Connection, log_config=None)
    config.load()
    connection: Any = server._Connection(config, ServerState(), {})  # of private parts
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: connection, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        while connection.transport is None:
            await asyncio.sleep(0.01)
        yield connection, writer
        writer.close()
        listening.close()


def test_the_end_of_an_answer_does_not_wait_for_an_acknowledgement():
    """On any listener: whoever comes while the receiver starts is served like others."""

    async def look():
        async with connected() as (connection, _):
            accepted = connection.transport.get_extra_info("socket")
            return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert asyncio.run(look())


@pytest.mark.parametrize("sent", [b"", b"POST"])
def test_a_connection_is_not_taken_for_idle_on_which_a_request_has_come(sent):
    """Its answer would be a closed connection: the loop had no time to read it."""

    async def look():
        async with connected() as (connection, writer):
            writer.write(sent)  # at once
            connection.timeout_keep_alive_handler()
            return connection.transport.is_closing()

    assert asyncio.run(look()) == (not sent)


@pytest.mark.parametrize(
    ("method", "waited", "behind", "answer"),
    [
        ("POST", 0.1, False, (200, None)),
        ("POST", 1.0, False, (503, b"5")),
        ("POST", 0.1, True, (503, b"5")),
        ("GET", 1.0, True, (200, None)),
    ],
)
def test_a_request_that_has_waited_or_would_wait_too_long_is_told_to_come_back(
    method, waited, behind, answer
):
    """A look at how it does is answered all the same."""

    def app(_environ, start_response):
        start_response("200 OK", [])
        return [b""]

    assert asyncio.run(ask(entering(app, behind), method, waited)) == answer


def test_views_share_the_loop_while_they_wait():
    """Ten views that wait for each other, all in one thread."""
    came, threads = [], set()

    async def until_all_came():
        while len(came) < 10:
            await asyncio.sleep(0)
        return len(came)

    def app(environ, start_response):
        came.append(environ["PATH_INFO"])
        threads.add(threading.get_ident())
        start_response(f"{200 + wait(until_all_came())} Found", [])
        return [b""]

    async def ask_all():
        entrance = entering(app)
        return await asyncio.gather(*(ask(entrance) for _ in range(10)))

    assert asyncio.run(ask_all()) == [(210, None)] * 10
    assert threads == {threading.get_ident()}


def test_what_a_view_waits_for_may_fail():
    async def fail():
        raise LookupError("gone")

    def view():
        with pytest.raises(LookupError, match="gone"):
            wait(fail())
        wait(fail())

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(run(view))


def test_views_that_another_server_runs_in_threads_wait_on_one_loop():
    async def loop():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(wait, loop()) for _ in range(4)]
    assert len({each.result() for each in found}) == 1


def test_a_view_that_waits_for_more_has_a_thread():
    """The loop goes on meanwhile: calls are taken in."""
    threads = []

    def app(_environ, start_response):
        threads.append(threading.get_ident())
        start_response("200 OK", [])
        return [b""]

    asyncio.run(ask(entering(app), "GET", path="/readyz"))
    assert threads != [threading.get_ident()]


def test_a_base_url_that_ends_in_a_slash_is_served_like_others(running):
    """Flask reads `//webhooks` as `/webhooks`, and so does the door."""
    call = {"type": "track", "userId": "u", "event": "A"}
    for number in range(12):
        sent = {**call, "messageId": f"m{number}"}
        answer = requests.post(f"{running.url}//webhooks/segment", json=sent, timeout=PATIENCE)
        assert answer.json()["results"][0]["outcome"] == "accepted"


def test_a_sender_who_leaves_in_the_middle_of_a_body_is_not_taken_for_whole():
    called = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(_):
        pass

    scope = {**SCOPE, "state": {}}
    asyncio.run(entering(lambda *_: called.append(1))(scope, receive, send))
    assert not called


def test_a_stopping_receiver_does_not_wait_for_a_view_that_hangs(tmp_path):
    """As one does whose database hangs."""
    hanging = """
import time
from destination.web import health
health.standings = lambda _: time.sleep(600)
"""
    with serving(tmp_path, "server.GRACE = 1\n" + hanging, ready="/healthz") as service:
        with pytest.raises(requests.Timeout):
            requests.get(f"{service.url}/metrics", timeout=1)
        [process] = service.processes
        process.terminate()

        assert process.wait(PATIENCE) == 0


def test_no_header_passes_for_another():
    """`X_Signature` and `X-Signature` are one name to WSGI."""
    headers = [(b"x_signature", b"forged"), (b"x-signature", b"real")]

    assert server._environ({**SCOPE, "headers": headers}, b"")["HTTP_X_SIGNATURE"] == "real"
