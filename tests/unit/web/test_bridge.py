"""The bridge: views run on the loop of the server, and give it back while they wait."""

import asyncio
import threading
from concurrent.futures import Future

import pytest
from flask import Flask, request

from destination.web.bridge import in_thread, run, wait
from destination.web.server import LARGE, Gateway

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "query_string": b"",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 80),
    "client": None,
    "headers": [],
}


async def ask(server, method="POST", body=b"[]"):
    """Send a request: the status of its answer, and when to come back."""
    told = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        told.append(message)

    await server({**SCOPE, "method": method}, receive, send)
    return told[0]["status"], dict(told[0]["headers"]).get(b"retry-after")


def serving(view, *, behind=False):
    app = Flask(__name__)
    app.add_url_rule("/", "view", view, methods=["GET", "POST"])
    return Gateway(app, max_body_bytes=10**6, is_behind=lambda: behind, is_known=lambda *_: True)


def test_views_share_the_loop_while_they_wait():
    """Ten views that wait for each other, all in one thread."""
    waiting, threads = [], set()

    def view():
        waiting.append(Future())
        threads.add(threading.get_ident())
        if len(waiting) == 10:
            for coming in waiting:
                coming.set_result("all came")
        return wait(waiting[-1])

    async def ask_all():
        server = serving(view)
        return await asyncio.gather(*(ask(server) for _ in range(10)))

    assert asyncio.run(ask_all()) == [(200, None)] * 10
    assert threads == {threading.get_ident()}


def test_what_a_view_waits_for_may_fail():
    failed: Future[None] = Future()
    failed.set_exception(LookupError("gone"))

    def view():
        with pytest.raises(LookupError, match="gone"):
            wait(failed)
        wait(failed)

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(run(view))


def test_a_view_that_is_run_without_a_loop_waits_where_it_is():
    done: Future[int] = Future()
    threading.Timer(0.01, done.set_result, (5,)).start()

    assert wait(done) == 5


def test_a_view_that_waits_for_more_than_a_commit_has_a_thread_and_its_request():
    found = []

    @in_thread
    def view():
        found.append((threading.get_ident(), request.method))
        return "ok"

    assert asyncio.run(ask(serving(view), "GET")) == (200, None)
    [(thread, method)] = found
    assert thread != threading.get_ident()
    assert method == "GET"


@pytest.mark.parametrize(("size", "on_the_loop"), [(LARGE, True), (LARGE + 1, False)])
def test_a_large_body_is_read_by_a_thread(size, on_the_loop):
    threads = []

    def view():
        threads.append(threading.get_ident())
        return "ok"

    asyncio.run(ask(serving(view), body=b"x" * size))
    assert (threads == [threading.get_ident()]) == on_the_loop


@pytest.mark.parametrize(
    ("method", "behind", "answer"),
    [("POST", False, (200, None)), ("POST", True, (503, b"5")), ("GET", True, (200, None))],
)
def test_while_the_app_is_behind_those_who_bring_more_are_told_to_come_back(method, behind, answer):
    """A look at how it does is answered all the same."""
    assert asyncio.run(ask(serving(lambda: "ok", behind=behind), method)) == answer


def test_a_sender_who_leaves_is_not_taken_for_whole():
    called = []

    def view():
        called.append(1)
        return "ok"

    async def leave():
        async def receive():
            return {"type": "http.disconnect"}

        async def send(_):
            pass

        await serving(view)(SCOPE, receive, send)

    asyncio.run(leave())
    assert not called


def test_large_requests_of_views_that_need_a_thread_do_not_block_each_other():
    """Each has a thread already: were it to wait for another one, all of them would for ever."""

    @in_thread
    def view():
        return "ok"

    async def ask_all():
        server = serving(view)
        return await asyncio.gather(*(ask(server, "GET", b"x" * (LARGE + 1)) for _ in range(64)))

    assert asyncio.run(ask_all()) == [(200, None)] * 64


def test_a_request_that_is_cut_off_as_the_receiver_stops_is_told_to_come_back():
    waits: Future[str] = Future()

    async def cut_off():
        task = asyncio.create_task(ask(serving(lambda: wait(waits))))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    assert asyncio.run(cut_off()) == (503, b"5")
