"""A server that does to a connection what a test says, byte by byte."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What is done with each connection.
Script = Callable[[socket.socket], None]


@contextmanager
def server(script: Script) -> Iterator[str]:
    """Runs `script` for each connection, in a thread of its own; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_run, args=(script, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _run(script: Script, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        script(connection)


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty when the connection has ended."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := connection.recv(65536)):
            return b""
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
            while len(body) < length:
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answers(*responses: bytes) -> Script:
    """Answers one request after the other with `responses`, over any number of connections."""
    left = list(responses)
    lock = threading.Lock()

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            with lock:
                response = left.pop(0) if len(left) > 1 else left[0]
            connection.sendall(response)

    return script


def response(status: int, body: bytes = b"{}", *headers: str) -> bytes:
    """A complete HTTP response."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """End the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
