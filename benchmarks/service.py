"""How fast it receives and delivers: real processes and sockets, synchronous commits.

    python benchmarks/service.py [--events 5000]

An engine of the script's own answers after 20 ms. Printed are rates, latencies and what each
process costs in processor time, with the conditions. Load and engine run on the same machine.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from destination import database
from destination.store import records

ROOT = Path(__file__).parents[1]
#: Starts a worker for the length of a `with` block.
Worker = Callable[[], AbstractContextManager["subprocess.Popen[bytes]"]]

PORT, ENGINE_PORT = 18_080, 18_090

#: Seconds that the engine takes to answer.
ENGINE_TAKES = 0.02

#: How many senders send at once.
SENDERS = 16

#: How many calls a batch has.
BATCH = 100

#: How many customers the events are about.
CUSTOMERS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=5000, help="events for each measurement")
    events = parser.parse_args().events
    engine = multiprocessing.Process(target=_engine, daemon=True)
    engine.start()
    table = Table("measured", "events", "a second", "p50 ms", "p99 ms", "CPU ms an event")
    with tempfile.TemporaryDirectory() as folder, _processes(folder) as (serve, work):
        _add_received(table, "received one at a time", events, 1, serve)
        _add_received(table, f"received in batches of {BATCH}", events * 4, BATCH, serve)
        with work() as worker:
            _add_delivered(table, events * 5, Path(folder), worker)
    engine.terminate()
    Console().print(table)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"SQLite, calls of {len(json.dumps(_call(0)))} bytes, {SENDERS} senders, {CUSTOMERS} "
        f"customers; the engine answers after {ENGINE_TAKES * 1000:.0f} ms. Load and engine run "
        "on the same machine."
    )


def _add_received(
    table: Table, name: str, events: int, batch: int, serve: "subprocess.Popen[bytes]"
) -> None:
    spent, began = _cpu(serve.pid), time.perf_counter()
    latencies = _send(events, batch)
    seconds = time.perf_counter() - began
    cpu = (_cpu(serve.pid) - spent) / events * 1000
    cuts = statistics.quantiles(latencies, n=100)
    table.add_row(
        name,
        f"{events:,}",
        f"{events / seconds:,.0f}",
        f"{cuts[49] * 1000:.1f}",
        f"{cuts[98] * 1000:.1f}",
        f"{cpu:.2f}",
    )


def _add_delivered(
    table: Table, waiting: int, folder: Path, worker: "subprocess.Popen[bytes]"
) -> None:
    kept = database.connect(_url(folder))
    while not records.counts(kept).get("delivered"):
        time.sleep(0.05)
    spent, began, before = _cpu(worker.pid), time.perf_counter(), records.counts(kept)
    while (counts := records.counts(kept)).get("delivered", 0) < waiting:
        if time.perf_counter() - began > 20:
            break
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    events = counts["delivered"] - before["delivered"]
    cpu = (_cpu(worker.pid) - spent) / events * 1000
    table.add_row("delivered", f"{events:,}", f"{events / seconds:,.0f}", "", "", f"{cpu:.2f}")


def _call(number: int) -> dict[str, object]:
    return {
        "type": "track",
        "messageId": f"{time.time_ns()}-{number}",
        "userId": f"customer-{number % CUSTOMERS}",
        "event": "Order Completed",
        "timestamp": "2026-03-14T09:26:53.589Z",
        "context": {"library": {"name": "benchmark"}, "userAgent": "x" * 300},
        "properties": {"order_id": number, "total": 27.5, "note": "x" * 450},
    }


def _send(events: int, batch: int) -> list[float]:
    """Send events from several senders at once; the seconds that each request took."""
    latencies: list[float] = []
    numbers = iter(range(0, events, batch))

    def sender() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        for start in numbers:
            calls = [_call(start + number) for number in range(batch)]
            body = json.dumps(calls[0] if batch == 1 else calls)
            began = time.perf_counter()
            connection.request("POST", "/webhooks/segment", body)
            answer = connection.getresponse()
            answer.read()
            latencies.append(time.perf_counter() - began)
            if answer.status != 200:
                raise SystemExit(f"The receiver answered {answer.status}.")

    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


@contextmanager
def _processes(folder: str) -> Iterator[tuple["subprocess.Popen[bytes]", Worker]]:
    environment = {
        **os.environ,
        "DESTINATION_DATABASE_URL": _url(Path(folder)),
        "DESTINATION_PORT": str(PORT),
        "DESTINATION_MAPPINGS": str(ROOT / "mappings"),
        "DESTINATION_REHOOK_URL": f"http://127.0.0.1:{ENGINE_PORT}",
    }

    @contextmanager
    def run(command: str) -> Iterator["subprocess.Popen[bytes]"]:
        process = subprocess.Popen(
            [sys.executable, "-m", "destination", command],
            env=environment,
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    with run("serve") as serve:
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", PORT)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield serve, lambda: run("worker")


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'bench.db'}"


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _engine() -> None:
    """Answers every request after a while, as fast a Python server as there is without tools."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.partition(b":")[2]))
                await asyncio.sleep(ENGINE_TAKES)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", ENGINE_PORT)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
