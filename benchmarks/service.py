"""How fast it receives and delivers, and at what cost: real processes, synchronous commits.

    python benchmarks/service.py [--events 5000] [--only sqlite]

An engine of the script's own answers after 20 ms. Each line has a new database and new processes.
Load and engine run on the same machine, and are not counted.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import databases
import load
import sqlalchemy as sa
from rich.console import Console

from destination.store import database, schema
from destination.store.queries import lists

#: How many senders send at once.
SENDERS = 16

#: How many calls a batch has.
BATCH = 100

COLUMNS = (
    *("", "events", "a second", "p50\nms", "p99\nms"),
    *("CPU\nreceiver", "CPU\nworker", "CPU\nPostgreSQL", "CPU\nall"),
    *("MB\nreceiver", "MB\nworker", "KB\nkept"),
)

#: Our own processes.
OURS = ("receiver", "worker")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured."""

    name: str
    events: int
    #: How many calls a request has.
    batch: int
    received: bool = True
    delivered: bool = True


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a line."""

    events: int
    #: Events a second.
    rate: float
    #: Of the requests that sent us calls; where nothing is received, of the attempts, in seconds.
    took: list[float]
    #: By process: seconds of processor time for each event, and MB at the peak.
    cpu: dict[str, float]
    memory: dict[str, int]
    #: Bytes on the disk for each event.
    kept: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=5000, help="events sent one at a time")
    parser.add_argument("--only", choices=databases.KINDS, help="this database alone")
    arguments = parser.parse_args()
    few, many = arguments.events, arguments.events * 2
    lines = [
        Case(name="received one at a time", events=few, batch=1, delivered=False),
        Case(name=f"received by {BATCH}", events=many * 2, batch=BATCH, delivered=False),
        Case(name="delivered", events=many, batch=BATCH, received=False),
        Case(name="whole way, one at a time", events=few, batch=1),
        Case(name=f"whole way, by {BATCH}", events=many, batch=BATCH),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for start in databases.chosen(arguments.only):
            with start(Path(folder)) as kept:
                _print(kept, lines, Path(folder))
        _print_conditions(Path(folder))


def _print(kind: databases.Kind, lines: Sequence[Case], folder: Path) -> None:
    table = load.table(COLUMNS, title=kind.name, collapse_padding=True)
    for line in lines:
        table.add_row(line.name, *_cells(measure(line, kind, folder)))
    Console(width=130).print(table)


def _cells(measured: Measured) -> Iterator[str]:
    p50, p99 = load.percentiles(measured.took)
    yield from (f"{measured.events:,}", f"{measured.rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}")
    each = {name: f"{seconds * 1000:.2f}" for name, seconds in measured.cpu.items()}
    yield from (each.get(name, "") for name in (*OURS, "PostgreSQL"))
    yield f"{sum(measured.cpu.values()) * 1000:.2f}"
    yield from (str(measured.memory.get(name, "")) for name in OURS)
    yield f"{measured.kept / 1000:.1f}"


def measure(line: Case, kind: databases.Kind, folder: Path) -> Measured:
    """A line on a new database, with new processes."""
    url, port = kind.make(), load.free_port()
    bodies = load.requests(line.events, line.batch)
    with load.engine(load.ENGINE_TAKES) as engine, ExitStack() as running:
        settings = {
            "DATABASE_URL": url,
            "PORT": port,
            "MAPPINGS": load.ROOT / "mappings",
            "REHOOK_URL": f"http://127.0.0.1:{engine.port}",
        }

        def start(command: str, says: str) -> "subprocess.Popen[bytes]":
            return running.enter_context(
                load.process(["-m", "destination", command], settings, folder, says)
            )

        receiver = start("serve", "receiving")
        if not line.received:  # what waits is there beforehand
            load.send(port, bodies, SENDERS)
        worker = start("worker", "delivering") if line.delivered else None
        if not line.received:
            engine.wait(1, receiver)
        counted = {"receiver": receiver.pid}
        counted |= {"worker": worker.pid} if worker else {}
        counted |= {"PostgreSQL": kind.server} if kind.server else {}
        spent = {name: load.cpu(pid) for name, pid in counted.items()}
        began, before = time.perf_counter(), engine.answered.value
        took = load.send(port, bodies, SENDERS) if line.received else []
        if worker:
            engine.wait(line.events, worker)
            _wait_until_settled(url, line.events)
        seconds = time.perf_counter() - began
        spent = {name: load.cpu(pid) - spent[name] for name, pid in counted.items()}
        memory = {name: load.peak_memory(counted[name]) for name in counted if name in OURS}
    events = line.events - before
    return Measured(
        events=events,
        rate=events / seconds,
        took=took or _attempts_took(url),
        cpu={name: value / events for name, value in spent.items()},
        memory=memory,
        kept=_bytes_kept(url) / line.events,
    )


def _wait_until_settled(url: str, events: int) -> None:
    """Until the last answers are kept. Raises SystemExit where not all are delivered."""
    kept = database.connect(url)
    ends = time.monotonic() + 5
    while (counts := lists.counts(kept)).get("delivered", 0) < events:
        if time.monotonic() > ends:
            raise SystemExit(f"Not all were delivered: {counts}.")
        time.sleep(0.01)
    kept.engine.dispose()


def _attempts_took(url: str) -> list[float]:
    """Seconds from the claim to the settlement of each attempt."""
    kept = database.connect(url)
    with kept.reading() as connection:
        query = sa.select(schema.attempt.c.ended_at - schema.attempt.c.started_at)
        found = [float(took) for took in connection.execute(query).scalars()]
    kept.engine.dispose()
    return found


def _bytes_kept(url: str) -> int:
    """What the database takes on the disk, with its indexes."""
    kept = database.connect(url)
    with kept.reading() as connection:
        if kept.engine.dialect.name == "sqlite":
            query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        else:
            query = "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables"
        found = int(connection.exec_driver_sql(query).scalar_one())
    kept.engine.dispose()
    return found


def _print_conditions(folder: Path) -> None:
    print(
        f"{load.conditions(folder)}\n"
        f"Calls of {len(json.dumps(load.call(0)))} bytes, {SENDERS} senders, {load.CUSTOMERS} "
        f"customers; the engine answers after {load.ENGINE_TAKES * 1000:.0f} ms.\n"
        "p50 and p99 are of the requests that send us calls; where nothing is received, of the "
        "attempts,\nfrom claim to settlement. CPU in seconds for 1,000 events. MB at the peak. KB "
        "on the disk for an event."
    )


if __name__ == "__main__":
    main()
