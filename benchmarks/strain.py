"""What the service bears: twice the load that it can take, and a million deliveries that wait.

    python benchmarks/strain.py [--minutes 10] [--waiting 1000000] [--only sqlite]

Real processes, a receiver and a worker; an engine of the script's own answers after 20 ms. It ends
with a fault where a call was lost, an answer was wrong, or memory grew.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import databases
import load
import requests
import sqlalchemy as sa
from filled import Filled
from flood import Flood, Minute
from rich.console import Console

from destination.store import database, schema

#: How many calls are sent to see how many a second it can take, and from how many senders.
TRIAL, SENDERS = 6000, 16

#: MB by which a process may grow between the first minute and the last.
GROWTH = 40

#: MB that a process may have while a million waits.
MOST = 400

#: Seconds for which delivering is measured, after a few in which it finds its pace.
MEASURED, SETTLES = 60.0, 5.0

#: How many wait in the run that the large one is compared with.
FEW = 1000

#: For each customer, how many deliveries wait.
EACH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10, help="of twice the load; 0: none")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="deliveries; 0: none")
    parser.add_argument("--seconds", type=float, default=MEASURED, help="of delivering")
    parser.add_argument("--only", choices=databases.KINDS, help="this database alone")
    arguments = parser.parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for start in databases.chosen(arguments.only):
            with start(Path(folder)) as kept:
                print(f"{kept.name}. {load.conditions(Path(folder))}\n")
                if arguments.minutes:
                    faults += _overload(kept, Path(folder), arguments.minutes)
                if arguments.waiting:
                    faults += _wait(kept, Path(folder), arguments.waiting, arguments.seconds)
    if faults:
        raise SystemExit("\n".join(faults))


@dataclass(frozen=True, kw_only=True)
class Running:
    """A receiver, a worker and their engine."""

    port: int
    receiver: int
    worker: int
    engine: load.Engine

    def memory(self) -> tuple[int, int]:
        return load.memory(self.receiver), load.memory(self.worker)


@contextmanager
def _running(url: str, folder: Path) -> Iterator[Running]:
    with load.engine(load.ENGINE_TAKES) as engine, ExitStack() as stack:
        port = load.free_port()
        settings = {
            "DATABASE_URL": url,
            "PORT": port,
            "MAPPINGS": load.ROOT / "mappings",
            "REHOOK_URL": f"http://127.0.0.1:{engine.port}",
        }
        receiver, worker = (
            stack.enter_context(load.process(["-m", "destination", name], settings, folder, says))
            for name, says in (("serve", "receiving"), ("worker", "delivering"))
        )
        yield Running(port=port, receiver=receiver.pid, worker=worker.pid, engine=engine)


def _overload(kind: databases.Kind, folder: Path, minutes: float) -> Iterator[str]:
    """Send twice what it can take; what went wrong."""
    url = kind.make()
    with _running(url, folder) as running:
        bodies, began = load.requests(TRIAL, 1), time.perf_counter()
        load.send(running.port, bodies, SENDERS)
        rate = 2 * TRIAL / (time.perf_counter() - began)
        flood = Flood(running.port, rate=rate, minutes=minutes)
        rows, peaks, taken = [], [], b""
        peak = running.memory()
        while not taken:
            told = flood.told(within=1.0)
            receiver, worker = map(max, peak, running.memory())
            peak = receiver, worker
            if isinstance(told, Minute):
                rows.append(told)
                peaks.append(peak)
                peak = running.memory()
            elif told:
                taken = told
        kept = _kept(url)
    title = f"{rate:,.0f} calls a second, twice what it takes from {SENDERS} senders"
    columns = [
        *("minute", "sent", "taken", "told to\ncome back", "taken\np99 ms", "told\np99 ms"),
        *("wrong", "late", "un-\nanswered", "MB\nreceiver", "MB\nworker"),
    ]
    _print(title, columns, [_cells(*each) for each in enumerate(zip(rows, peaks, strict=True), 1)])
    acknowledged = [number for number, one in enumerate(taken) if one]
    lost = sum(f"flood-{number}" not in kept for number in acknowledged)
    print(f"{len(acknowledged):,} acknowledged, {lost:,} of them lost.\n")
    for name in ("wrong", "late", "unanswered"):
        if count := sum(minute.answers[name] for minute in rows):
            yield f"{kind.name}: {count:,} calls {name}."
    if lost:
        yield f"{kind.name}: {lost:,} acknowledged calls are lost."
    for name, first, last in zip(("receiver", "worker"), peaks[0], peaks[-1], strict=True):
        if last > first + GROWTH:
            yield f"{kind.name}: the {name} grew from {first} to {last} MB."


def _cells(number: int, of: tuple[Minute, tuple[int, int]]) -> list[str]:
    minute, peak = of
    counted = [minute.sent, minute.answers["taken"], minute.answers["told"]]
    bad = [minute.answers[name] for name in ("wrong", "late", "unanswered")]
    p99 = [f"{load.percentiles(took)[1]:,.0f}" if took[1:] else "" for took in minute.took.values()]
    return [
        *(f"{count:,}" for count in (number, *counted)),
        *p99,
        *(f"{count:,}" for count in (*bad, *peak)),
    ]


def _kept(url: str) -> set[str]:
    """The message ids that are in the database."""
    found = database.connect(url)
    with found.reading() as connection:
        kept = set(connection.execute(sa.select(schema.event.c.message_id)).scalars())
    found.engine.dispose()
    return kept


def _wait(kind: databases.Kind, folder: Path, waiting: int, seconds: float) -> Iterator[str]:
    """Measure delivering while few wait, and while many do; what went wrong."""
    rows, rates = [], []
    for count in (FEW, waiting):
        kept, began = Filled(kind.make(), customers=count // EACH), time.perf_counter()
        kept.fill(count)
        filled = time.perf_counter() - began
        with _running(kept.url, folder) as running:
            _deliver(running, kept, SETTLES)
            spent = load.cpu(running.worker)
            delivered, took, answered = _deliver(running, kept, seconds)
            spent = (load.cpu(running.worker) - spent) / delivered * 1000
            memory = [load.peak_memory(pid) for pid in (running.receiver, running.worker)]
        rates.append(delivered / took)
        row = [f"{count:,}", f"{filled:,.0f}", f"{rates[-1]:,.0f}", f"{spent:.2f}"]
        rows.append([*row, f"{answered * 1000:,.0f}", *map(str, memory)])
        if max(memory) > MOST:
            yield f"{kind.name}: {max(memory)} MB with {count:,} waiting."
    columns = [
        *("waiting", "s to\nfill", "delivered\na second", "CPU worker\n1,000 events"),
        *("slowest\n/readyz ms", "MB\nreceiver", "MB\nworker"),
    ]
    _print(f"Delivered for {seconds:,.0f} seconds, while as many come as leave", columns, rows)
    print(f"With {waiting:,} waiting it delivers {rates[1] / rates[0]:.0%} of it.\n")


def _deliver(running: Running, kept: Filled, seconds: float) -> tuple[int, float, float]:
    """Let it deliver, and bring as many as leave: how many left, in how many seconds, and the
    seconds that the slowest look at what waits took.
    """
    began = time.perf_counter()
    first = gone = running.engine.answered.value
    slowest = 0.0
    while (passed := time.perf_counter() - began) < seconds:
        time.sleep(0.25)
        before, gone = gone, running.engine.answered.value
        kept.fill(gone - before)
        asked = time.perf_counter()
        requests.get(f"http://127.0.0.1:{running.port}/readyz", timeout=60).raise_for_status()
        slowest = max(slowest, time.perf_counter() - asked)
    return gone - first, passed, slowest


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = load.table(columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
