"""The sandbox on a port: Werkzeug's threaded server, with connections that stay open."""

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from destination.sandbox.app import create_app

LOOPBACK = "127.0.0.1"
ENDING = {signal.SIGTERM, signal.SIGINT}


class Connection(WSGIRequestHandler):
    """One client's connection. Werkzeug's own handler closes it after every answer.

    The app reads every body to its end, so that the next request begins where this one ended.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, and neither waits

    def run_wsgi(self) -> None:
        answer = Response.from_app(self.server.app, self.make_environ(), buffered=True)
        self.send_response(answer.status_code)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.get_data())

    def log(self, *_: object) -> None:
        """Say nothing: `/_sandbox/requests` has it all."""


class Server(ThreadedWSGIServer):
    """A thread for each connection; closing the server cuts those that are still open."""

    def __init__(self, host: str, port: int, app: Flask) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(host, port, app, Connection)

    # A request is a connection here; socketserver's types have datagrams too.
    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening(app: Flask, *, host: str = LOOPBACK, port: int = 0) -> Iterator[int]:
    """Answer on a port, given to the `with` block, until the block ends. Port 0 is any free one.

    Raises ValueError for a host that is not loopback. A port that is taken ends the process
    with a message, as Werkzeug does.
    """
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the sandbox's own endpoints have no lock: {host} is not loopback")
    server = Server(host, port, app)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()


def serve(
    *,
    host: str = LOOPBACK,
    port: int = 0,
    api_key: str,
    api_secret: str,
    rules: Path | None = None,
    webhooks: Mapping[str, str] = {},
    ready: Callable[[int], None] | None = None,
) -> None:
    """Run the sandbox until SIGTERM or Ctrl-C, in the main thread of a process of its own.

    `ready` is called once it answers, with the port. Raises RulesError, which names the file
    and the key, and ValueError for a host that is not loopback.
    """
    app = create_app(api_key=api_key, api_secret=api_secret, rules=rules, webhooks=webhooks)
    # Blocked here and in every thread that follows, a signal waits for sigwait. With a handler
    # the kernel may give it to another thread, and this one would sleep on.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with listening(app, host=host, port=port) as listened:
            if ready:
                ready(listened)
            signal.sigwait(ENDING)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
