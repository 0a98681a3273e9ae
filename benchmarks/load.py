"""What the measurements share: an engine, senders, processes, and what a process costs."""

import asyncio
import functools
import itertools
import json
import multiprocessing
import os
import platform
import re
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

ROOT = Path(__file__).parents[1]

#: The write key of the calls.
KEY = "benchmark"

#: The ports of proxies.
TLS_PORTS: set[int] = set()

#: How many customers the events are about.
CUSTOMERS = 500

#: Seconds that the engine takes to answer.
ENGINE_TAKES = 0.02

#: Seconds after which something that does not happen is given up.
PATIENCE = 120.0


def call(number: int, customers: int = CUSTOMERS) -> dict[str, object]:
    """A track call of about 1 KB."""
    return {
        "type": "track",
        "messageId": f"{os.getpid()}-{time.time_ns()}-{number}",
        "userId": f"customer-{number % customers}",
        "event": "Order Completed",
        "timestamp": "2026-03-14T09:26:53.589Z",
        "context": {"library": {"name": "benchmark"}, "userAgent": "x" * 300},
        "properties": {"order_id": number, "total": 27.5, "note": "x" * 450},
    }


def requests(events: int, batch: int) -> list[bytes]:
    """Whole HTTP requests, made beforehand: `batch` calls each, together `events`."""
    return [
        request([call(start + number) for number in range(batch)])
        for start in range(0, events, batch)
    ]


def request(calls: Sequence[dict[str, object]]) -> bytes:
    """A whole HTTP request that sends calls."""
    body = json.dumps(calls[0] if len(calls) == 1 else calls).encode()
    head = (
        f"POST /webhooks/segment HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(port: int, bodies: Sequence[bytes], senders: int, each: float = 0.0) -> list[float]:
    """Send from several senders at once, one request each so many seconds, or as fast as they are
    answered; the seconds that each request took.

    Raises SystemExit where one is answered anything but 200.
    """
    took: list[float] = []
    faults: list[str] = []
    waiting = iter(enumerate(bodies))
    start = time.monotonic()

    def sender() -> None:
        connection = connect(port)
        for number, request in waiting:
            if each:
                time.sleep(max(0.0, start + number * each - time.monotonic()))
            began = time.perf_counter()
            head = exchange(connection, request)
            if not head:  # it was closed while it was idle
                connection.close()
                connection = connect(port)
                head = exchange(connection, request)
            took.append(time.perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 200"):
                faults.append(head.decode())
                break
        connection.close()

    threads = [threading.Thread(target=sender) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults or len(took) < len(bodies):
        raise SystemExit(f"{len(took)} of {len(bodies)} were answered. {' '.join(faults[:1])}")
    return took


def connect(port: int, timeout: float | None = None) -> socket.socket:
    """A connection to a port of this machine; by TLS where a proxy speaks it there."""
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    return _any_certificate().wrap_socket(connection) if port in TLS_PORTS else connection


@functools.cache
def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """The head of the answer to a request; nothing where the connection has ended."""
    try:
        connection.sendall(request)
        return read_answer(connection)
    except ConnectionError:
        return b""


def read_answer(connection: socket.socket) -> bytes:
    """The head of one answer, whose body is read as well; nothing where the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (part := connection.recv(65536)):
        missing -= len(part)
    return head


def table(columns: Iterable[str], **options: Any) -> Table:
    """A table of figures; a column without a name says of what they are."""
    made = Table(box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, **options)
    for column in columns:
        made.add_column(column, justify="right" if column else "left", no_wrap=True)
    return made


def percentiles(took: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(took, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


@dataclass(frozen=True)
class Engine:
    """Answers every request after a while, and counts them."""

    port: int
    answered: Any
    #: When each numbered order arrived, by the machine's monotonic clock; 0: not yet.
    orders: Any

    def wait(self, count: int, process: "subprocess.Popen[bytes]") -> None:
        """Until it has answered `count` requests. Raises SystemExit where that does not come."""
        ends = time.monotonic() + PATIENCE
        while self.answered.value < count:
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"{self.answered.value} of {count} requests reached the engine.")
            time.sleep(0.005)


@contextmanager
def engine(takes: float, orders: int = 0) -> Iterator[Engine]:
    """An engine in a process of its own, which answers `takes` seconds after each request, and
    notes when orders arrive whose `order_id` is less than `orders`.
    """
    answered = multiprocessing.Value("L", 0, lock=False)
    arrived = multiprocessing.Array("d", orders, lock=False)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    process = multiprocessing.Process(
        target=_engine, args=(listener, takes, answered, arrived), daemon=True
    )
    process.start()
    yield Engine(listener.getsockname()[1], answered, arrived)
    process.terminate()
    process.join()
    listener.close()


class _Connection(asyncio.Protocol):
    """One connection to the engine, with as little work for each request as Python allows."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    def __init__(self, takes: float, answered: Any, orders: Any) -> None:
        self._takes, self._answered, self._orders = takes, answered, orders
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (ends := self._read.find(b"\r\n\r\n") + 4) > 3:
            length = re.search(rb"(?i)content-length: *(\d+)", self._read[:ends])
            whole = ends + int(length[1] if length else 0)
            if len(self._read) < whole:
                return
            if self._orders and (order := re.search(rb'"order_id":(\d+)', self._read[:whole])):
                self._orders[int(order[1])] = time.monotonic()
            self._read = self._read[whole:]
            asyncio.get_running_loop().call_later(self._takes, self._answer)

    def _answer(self) -> None:
        self._answered.value += 1
        self._transport.write(self.ANSWER)


def _engine(listener: socket.socket, takes: float, answered: Any, orders: Any) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(takes, answered, orders), sock=listener
        )
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def process(
    command: Sequence[str],
    settings: Mapping[str, object],
    folder: Path,
    says: str,
    program: str = sys.executable,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with `settings`, once it has written `says` on standard error; ended after use.

    Raises SystemExit with what it wrote, where it ends instead.
    """
    settings = {"SEGMENT_WRITE_KEYS": KEY, **settings}
    environment = {f"DESTINATION_{name}": str(value) for name, value in settings.items()}
    told = folder / f"{command[-1].replace('/', '-')}.log"
    with told.open("wb") as log:
        started = subprocess.Popen(
            [program, *command], env={**os.environ, **environment}, cwd=folder, stderr=log
        )
    try:
        ends = time.monotonic() + PATIENCE
        while says not in told.read_text():
            if started.poll() is not None or time.monotonic() > ends:
                raise SystemExit(told.read_text())
            time.sleep(0.02)
        yield started
    finally:
        started.terminate()
        started.wait(30)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def cpu(pid: int) -> float:
    """Seconds of processor time of a process and all its children, also of those that ended."""
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
        spent[int(stat.parent.name)] = sum(map(int, fields[11:15]))
    mine = [each for each in spent if pid in _ancestry(each, parents)]
    return sum(spent[each] for each in mine) / os.sysconf("SC_CLK_TCK")


def _ancestry(pid: int, parents: Mapping[int, int]) -> Iterable[int]:
    """A process, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def peak_memory(pid: int) -> int:
    """The most memory that a process has had, in MB."""
    return _memory(pid, "VmHWM")


def memory(pid: int) -> int:
    """The memory that a process has now, in MB."""
    return _memory(pid, "VmRSS")


def _memory(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def fsync_takes(folder: Path) -> float:
    """Milliseconds that a small write to the disk takes, in the middle: commits wait for it."""
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in itertools.repeat(None, 200):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
            file.flush()
    return statistics.median(took) * 1000


def conditions(folder: Path) -> str:
    """On what it was measured."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{platform.python_implementation()} {platform.python_version()}, Linux "
        f"{platform.release()}, {os.cpu_count()} x {models[0] if models else platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}, a write to the disk {fsync_takes(folder):.2f} ms."
    )
