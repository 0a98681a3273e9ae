"""What a server must survive: slow senders, idle connections, being stopped, being killed."""

import contextlib
import itertools
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import load

#: Seconds within which others must be answered while somebody is slow, or idle.
BEARABLE = 2.0

#: Seconds for which a request that trickles is looked at.
TRICKLE = 75.0

Process = subprocess.Popen[bytes]

#: Given the port, the main process and the SQLite file of a server, says how it went.
Ordeal = Callable[[int, Process, Path], str]


def slow_senders(port: int, _: Process, __: Path) -> str:
    """200 senders of a byte a second do not stop others."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(port)) for _ in range(200)]
        request = load.requests(1, 1)[0]
        for connection in slow:
            connection.sendall(request[: request.index(b"\r\n\r\n") + 5])
        stop = threading.Event()
        thread = threading.Thread(target=_drip, args=(slow, request[-500:], stop))
        thread.start()
        time.sleep(1.5)
        found = _others(port)
        stop.set()
        thread.join()
    return found


def idle_connections(port: int, _: Process, __: Path) -> str:
    """4,000 connections on which nothing happens do not stop others."""
    with contextlib.ExitStack() as stack:
        try:
            for number in range(3990):
                stack.enter_context(connect(port))
                if number % 200 == 0:
                    time.sleep(0.02)
        except OSError as error:
            return f"no: {type(error).__name__}"
        return _others(port)


def sigterm(port: int, process: Process, database: Path) -> str:
    """SIGTERM answers what is under way: 16 requests that wait for the database."""
    heads: list[bytes] = []
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    threads = [
        threading.Thread(target=_post, args=(port, body, heads)) for body in load.requests(16, 1)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.7)
    holder.execute("ROLLBACK")
    holder.close()
    for thread in threads:
        thread.join()
    answered = sum(head.startswith(b"HTTP/1.1 200") for head in heads)
    try:
        process.wait(12)
    except subprocess.TimeoutExpired:
        return f"{answered}/16, does not stop"
    return "yes" if answered == 16 else f"{answered}/16"


def sigkill(port: int, process: Process, _: Path) -> str:
    """SIGKILL of the main process leaves nobody on the port."""
    process.kill()
    process.wait()
    time.sleep(3)
    return "no: somebody answers" if answers(port) else "yes"


def trickle(port: int, _: Process, __: Path) -> str:
    """A head, or a body, of a byte a second is cut off: after how many seconds."""
    request = load.requests(1, 1)[0]
    starts = request.index(b"\r\n\r\n") + 5
    found: dict[str, str] = {}

    def cut_off(name: str, first: bytes, rest: bytes) -> None:
        began = time.monotonic()
        with connect(port) as connection:
            connection.sendall(first)
            connection.settimeout(1)
            for byte in itertools.cycle(rest):
                if time.monotonic() - began > TRICKLE:
                    found[name] = "never"
                    return
                try:
                    connection.sendall(bytes([byte]))
                    connection.recv(1000)  # an answer, or the end
                except TimeoutError:
                    continue
                except OSError:
                    pass
                break
        found[name] = f"{time.monotonic() - began:.0f}s"

    line = request[: request.index(b"\r\n") + 2]
    parts = {"head": (line + b"X-Slow: ", b"x"), "body": (request[:starts], b"x")}
    threads = [threading.Thread(target=cut_off, args=(name, *part)) for name, part in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{found['head']} / {found['body']}"


#: By the head of the column.
ORDEALS: dict[str, Ordeal] = {
    "slow senders": slow_senders,
    "idle": idle_connections,
    "SIGTERM": sigterm,
    "SIGKILL": sigkill,
}


@contextlib.contextmanager
def connect(port: int) -> Iterator[socket.socket]:
    with load.connect(port, timeout=5) as connection:
        yield connection


def answers(port: int) -> bool:
    """Whether somebody answers there."""
    try:
        with connect(port) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return load.read_answer(connection).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def until(condition: Callable[[], bool], trouble: str) -> None:
    """Wait for a condition. Raises SystemExit when it does not come."""
    ends = time.monotonic() + 60
    while not condition():
        if time.monotonic() > ends:
            raise SystemExit(trouble)
        time.sleep(0.1)


def on_sigterm(stop: Callable[[], Any]) -> None:
    """Call `stop` in a thread of its own, since some servers wait in it for their main loop."""
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop).start())


def end(process: Process) -> None:
    """End a process and all that it has started: it leads a session of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)


def _drip(connections: list[socket.socket], body: bytes, stop: threading.Event) -> None:
    for byte in itertools.cycle(body):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.sendall(bytes([byte]))
        if stop.wait(1):
            return


def _others(port: int) -> str:
    """Whether 20 requests are answered in bearable time."""
    heads: list[bytes] = []
    slowest = 0.0
    for body in load.requests(20, 1):
        began = time.monotonic()
        _post(port, body, heads)
        slowest = max(slowest, time.monotonic() - began)
        if slowest > BEARABLE:
            return f"no: {slowest:.0f} s"
    answered = sum(bool(re.match(rb"HTTP/1\.[01] 200", head)) for head in heads)
    return f"{slowest:.2f} s" if answered == 20 else f"no: {answered}/20"


def _post(port: int, body: bytes, heads: list[bytes]) -> None:
    with contextlib.suppress(OSError), connect(port) as connection:
        connection.sendall(body)
        heads.append(load.read_answer(connection))
