"""The server: uvicorn reads requests, and this ASGI app has Flask answer each once it is whole.

A slow sender costs a connection and nothing more. What a request may hold, and how long it may
take, has a bound. A head that trickles is the business of the proxy with TLS in front.
"""

import asyncio
import io
import json
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, cast

import structlog
import uvicorn
from a2wsgi.asgi_typing import HTTPScope
from a2wsgi.wsgi import Body, build_environ
from flask import Flask
from werkzeug.wrappers import Response

from destination.errors import Busy
from destination.support import logs, metrics
from destination.web.bridge import run, threads

#: Connections that are open at once, and requests that are being answered.
MAX_CONNECTIONS, MAX_REQUESTS = 4000, 2000

#: Seconds in which a body must have come, and in which an answer must have been read; and for
#: which a connection may be idle between two requests.
WITHIN = 30.0

#: Bytes of a request's head; of a body for which nobody vouches in the head; and of all bodies
#: that are in hand at once, so that together they do not fill the memory.
MAX_HEAD, MAX_UNKNOWN, MAX_IN_HAND = 64 * 1024, 512 * 1024, 256 * 1024 * 1024

#: Bytes of a body that takes long to read: a thread does it, and the loop goes on.
LARGE = 64 * 1024

#: Seconds by which the loop may be late before what comes is refused; and between two looks at it.
MAX_LAG, LOOK_EVERY = 0.25, 0.05

#: Answers that a stranger can have without end, and the seconds that each waits to be sent: one
#: connection cannot keep the loop from those who have a credential, nor guess one soon.
STRANGERS, STRANGERS_WAIT = {401, 403, 404, 405, 413, 431}, 0.1

#: Seconds after which a sender that is refused as too much, or cannot be served now, may try again.
RETRY_AFTER = 5

#: Seconds that requests under way have when the receiver is stopped.
GRACE = 6

log = structlog.get_logger()

#: Lines for requests without a good credential: a stranger must not fill the log.
unauthorized_lines = logs.Sparing(most=10, within=60.0)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: What an error is called in the body of its answer, beside words for people.
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    431: "head_too_large",
    503: "busy",
}


def serve(app: "Gateway", listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered."""
    # Connections have these from their listener (Linux). An answer's head and body are two writes:
    # the second must not wait until the first is acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Who takes nothing of what was sent, for so many milliseconds, is cut off.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WITHIN * 1000))
    logging.getLogger("uvicorn.error").addFilter(_count_malformed)
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=2 * MAX_HEAD,  # more than we take: so it is we who answer
        timeout_keep_alive=int(WITHIN),
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


class Gateway:
    """An ASGI app: it reads a request whole, refuses it early where it must, and runs Flask."""

    def __init__(
        self,
        app: Flask,
        *,
        max_body_bytes: int,
        is_behind: Callable[[], bool],
        is_known: Callable[[str, str, dict[str, str]], bool],
    ) -> None:
        """`is_behind`: whether the app has more to do than it can. `is_known`: whether a request's
        path, query and headers show a credential, or a signature to check.
        """
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._is_behind = is_behind
        self._is_known = is_known
        self._requests = self._in_hand = 0
        #: Seconds by which the loop is late with what it has to do, and the task that looks.
        self._lag = 0.0
        self._looks: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._looks = self._looks or asyncio.create_task(self._look())
        if scope["method"] != "GET" and self._is_busy():
            # To refuse must cost little of what it takes to keep, or refusing would be all we do.
            metrics.turned_away.labels("503").inc()
            for message in BUSY:
                await send(message)
            return
        body = bytearray()
        self._requests += 1
        try:
            answer = await self._read(scope, receive, body) or await self._run(scope, bytes(body))
        except asyncio.CancelledError:  # the receiver is stopped, and this took too long
            answer = closing(refusal(503, str(Busy())))
        finally:
            self._requests -= 1
            self._in_hand -= len(body)
        if answer.status_code in STRANGERS:
            await asyncio.sleep(STRANGERS_WAIT)
        await _send(send, answer)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> Response | None:
        """Read the body; an answer where the request is refused before Flask is asked."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            return refusal(431, f"The head has more than {MAX_HEAD:,} bytes.")
        names = {name for name, _ in scope["headers"]}
        if names >= {b"content-length", b"transfer-encoding"}:
            return closing(refusal(400, "The head says in two ways how long the body is."))
        if refused := self._refuse(scope, _announced(scope)):
            return closing(refused)
        try:
            async with asyncio.timeout(WITHIN):
                more = True
                while more:
                    message = await receive()
                    more = message.get("more_body", False)
                    if message["type"] == "http.disconnect":
                        return refusal(400, "The body ended too early.")  # nobody hears it
                    body += message.get("body", b"")
                    self._in_hand += len(message.get("body", b""))
                    if refused := self._refuse(scope, len(body)):
                        return closing(refused) if more else refused
        except TimeoutError:
            return closing(refusal(408, f"The body did not come within {WITHIN:g} seconds."))
        return None

    def _refuse(self, scope: Scope, size: int) -> Response | None:
        """Refuse a request of which `size` bytes of body have come, or will, where they are too
        many.
        """
        if size > self._max_body_bytes:
            return refusal(413, f"The body has more than {self._max_body_bytes:,} bytes.")
        if size > MAX_UNKNOWN and not self._is_known(*_head(scope)):
            why = "A request as large as this must show a credential in its head."
            note_unauthorized(scope["path"], why)
            return refusal(401, why)
        if self._in_hand > MAX_IN_HAND:
            return refusal(503, str(Busy()))
        return None

    def _is_busy(self) -> bool:
        """Whether more comes than can be kept. A look at how the app does (GET) is answered all
        the same: it must not say that it is dead because it is busy.
        """
        return self._lag > MAX_LAG or self._requests >= MAX_REQUESTS or self._is_behind()

    async def _look(self) -> None:
        """Look from time to time how late the loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_EVERY
            await asyncio.sleep(LOOK_EVERY)
            self._lag = loop.time() - due

    async def _run(self, scope: Scope, body: bytes) -> Response:
        stream = cast(Body, io.BytesIO(body))
        environ = cast(dict[str, Any], build_environ(_for_wsgi(scope, len(body)), stream))
        view = partial(self._answer, environ)
        if len(body) > LARGE or (b"content-encoding", b"gzip") in scope["headers"]:
            return await asyncio.get_running_loop().run_in_executor(threads, view)
        return await run(view)

    def _answer(self, environ: dict[str, Any]) -> Response:
        with self._app.request_context(environ):
            return self._app.full_dispatch_request()


def _announced(scope: Scope) -> int:
    """The bytes that a request's head says its body has; 0 where it says nothing."""
    return int(next((value for name, value in scope["headers"] if name == b"content-length"), 0))


def _head(scope: Scope) -> tuple[str, str, dict[str, str]]:
    """Path, query and headers, whose names are spelt `Like-This`."""
    headers = {
        name.decode("latin-1").title(): value.decode("latin-1") for name, value in scope["headers"]
    }
    return scope["path"], scope["query_string"].decode("latin-1"), headers


def _for_wsgi(scope: Scope, size: int) -> HTTPScope:
    """The same, with a body of `size` bytes. `X_A` is left out: for WSGI it would be `X-A`."""
    left_out = (b"content-length", b"transfer-encoding")
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in left_out and b"_" not in name
    ]
    return cast(HTTPScope, {**scope, "headers": [*headers, (b"content-length", b"%d" % size)]})


def note_unauthorized(path: str, why: str) -> None:
    """Count and log a request without a good credential. Segment does not send it again: what it
    brought is lost until somebody sees this.
    """
    metrics.turned_away.labels("401").inc()
    if unauthorized_lines.allows():
        log.warning("unauthorized", path=path, why=why)


def refusal(status: int, message: str) -> Response:
    """An error as JSON, with a code for programs and a message for people; a 503 is counted."""
    if status == 503:
        metrics.turned_away.labels("503").inc()
    return _error(status, message)


def _error(status: int, message: str) -> Response:
    body = json.dumps({"code": CODES[status], "message": message}) + "\n"
    headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}
    return Response(body, status, headers, mimetype="application/json")


def closing(answer: Response) -> Response:
    """The same, as the last of its connection: the rest of the request is not read."""
    answer.headers["Connection"] = "close"
    return answer


async def _send(send: Send, answer: Response) -> None:
    for message in _messages(answer):
        await send(message)


def _messages(answer: Response) -> tuple[dict[str, Any], dict[str, Any]]:
    """An answer as ASGI tells it."""
    head = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    return (
        {"type": "http.response.start", "status": answer.status_code, "headers": head},
        {"type": "http.response.body", "body": answer.get_data()},
    )


#: What is answered where more comes than can be kept.
BUSY = _messages(_error(503, str(Busy())))

#: What uvicorn says of malformed requests: each is counted, and some are logged.
_malformed = logs.Sparing(most=10, within=60.0)


def _count_malformed(record: logging.LogRecord) -> bool:
    if record.msg.startswith("Invalid HTTP request"):
        metrics.turned_away.labels("400").inc()
    return _malformed.allows()
