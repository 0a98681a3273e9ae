"""The door: one loop reads requests, each in its own time, and runs a view once one is whole.

A slow sender costs a connection and nothing more; how long and how large it may be has a bound.
"""

import asyncio
import io
import select
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import uvicorn
from flask import Flask
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from destination.errors import Busy
from destination.support import metrics
from destination.support.executor import DaemonThreads
from destination.web.app import SWIFT
from destination.web.bridge import run

#: Connections that are kept open at once; who comes beside them is told to come back.
MAX_CONNECTIONS = 4000

#: Seconds in which a request's head must have come, and then its body; and for which a connection
#: may be idle between two requests.
WITHIN = 30.0

#: Bytes of bodies that are in hand at once: together they must not fill the memory.
MAX_BYTES = 256 * 1024 * 1024

#: Seconds after which a whole request that has not begun is refused: more come than can be kept,
#: and those behind it are to be told in time.
FULL = 0.5

#: Threads for views that ask the database for more than a commit, and how many may wait for one.
VIEWS, MANY = 16, 100

#: Seconds that requests under way have when the receiver is stopped.
GRACE = 8

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = tuple[int, Iterable[tuple[str, str]], bytes]


def serve(
    app: Flask, listener: socket.socket, *, max_body_bytes: int, is_behind: Callable[[], bool]
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered.

    While the app `is_behind`, more than can be kept has come, and whoever comes is refused.
    """
    config = uvicorn.Config(
        WholeRequests(app, max_body_bytes, is_behind),
        http=_Connection,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        timeout_keep_alive=int(WITHIN),
        timeout_graceful_shutdown=GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])


class WholeRequests:
    """An ASGI app that hands whole requests to a WSGI app, unless `is_behind` with its work."""

    def __init__(self, app: Flask, max_body_bytes: int, is_behind: Callable[[], bool]) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._is_behind = is_behind
        self._crew = DaemonThreads(VIEWS, "view")
        self._in_hand = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            answer = await self._answer(scope, receive, body)
        finally:
            self._in_hand -= len(body)
        await _tell(send, answer)

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, body: bytearray) -> Answer:
        try:
            async with asyncio.timeout(WITHIN):
                refused = await self._read(receive, body)
        except TimeoutError:
            refused = _refuse(408, f"The body did not come within {WITHIN:g} seconds.")
        if refused:
            return refused
        view = partial(self._call, scope, bytes(body))
        if not f"/{scope['path'].lstrip('/')}".startswith(SWIFT):  # as Flask reads it
            if self._crew.waiting() > MANY:
                return _too_much(close=False)
            return await self._crew.do(view)
        # A look at how it does must not tell that it is dead because it is busy.
        if scope["method"] != "GET" and self._is_full(scope):
            return _too_much(close=False)
        return await run(view)

    def _is_full(self, scope: Mapping[str, Any]) -> bool:
        """Whether more comes than can be kept. It is asked before the app is, since to refuse a
        request must cost little of what it takes to keep one: or refusing would be all we do.
        """
        return time.monotonic() - scope["state"]["whole"] > FULL or self._is_behind()

    async def _read(self, receive: Receive, body: bytearray) -> Answer | None:
        """Read the whole body; an answer where it is not to be read to its end."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _refuse(400, "The body ended too early.")  # nobody hears it
            part = message.get("body", b"")
            more = message.get("more_body", False)
            body += part
            self._in_hand += len(part)
            if len(body) > self._max_body_bytes:
                return _refuse(413, f"The body has more than {self._max_body_bytes:,} bytes.")
            if self._in_hand > MAX_BYTES:
                return _too_much()
        return None

    def _call(self, scope: Mapping[str, Any], body: bytes) -> Answer:
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            told[:] = int(status.split(" ", 1)[0]), headers

        parts = self._app(_environ(scope, body), start_response)
        try:
            answer = b"".join(parts)
        finally:
            if close := getattr(parts, "close", None):
                close()
        return told[0], told[1], answer


async def _closed(_scope: Mapping[str, Any], _receive: Receive, send: Send) -> None:
    """The app of a connection that is one too many."""
    await _tell(send, _too_much())


async def _tell(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    head = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


class _Connection(HttpToolsProtocol):
    """Uvicorn's, with a bound of time for a request's head, and one for how many there are."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Head and body of an answer are two writes: the second must not wait to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > MAX_CONNECTIONS:
            self.app = _closed
        self._hurry()

    def on_message_begin(self) -> None:
        self._hurry()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._relax()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope["state"]["whole"] = time.monotonic()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        # While others were served, a request may have come that is read next: it is no idle one.
        if not _has_come(self.transport):
            super().timeout_keep_alive_handler()

    def _hurry(self) -> None:
        self._relax()
        self._late = self.loop.call_later(WITHIN, self.transport.abort)

    def _relax(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None


def _has_come(transport: asyncio.Transport) -> bool:
    """Whether there is something to read."""
    looks = select.poll()
    looks.register(transport.get_extra_info("socket"), select.POLLIN)
    return bool(looks.poll(0))


def _environ(scope: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """What WSGI says of a request: https://peps.python.org/pep-3333/#environ-variables"""
    host, port = scope["server"] or ("", None)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").upper()
        if "_" in name:  # X_A and X-A are one name here: nobody may pass one for the other
            continue
        key = "HTTP_" + name.replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _too_much(*, close: bool = True) -> Answer:
    metrics.turned_away.labels("503").inc()
    return _refuse(503, str(Busy()), close=close)


def _refuse(status: int, message: str, *, close: bool = True) -> Answer:
    """An answer before the app is asked; where not all was read, the connection ends with it."""
    body = f'{{"message": "{message}"}}\n'.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    headers += [("Connection", "close")] if close else []
    headers += [("Retry-After", "5")] if status == 503 else []
    return status, headers, body
