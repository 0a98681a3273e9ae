"""One dead destination hurts no other: how fast one is delivered to, alone and beside a dead one.

    python benchmarks/neighbour.py [--deliveries 4000]

A worker as a process, an engine that takes 20 ms, and beside it, in every second run, a destination
that takes connections and never answers, for which as much waits. Runs alternate, since a machine's
speed changes; the middle one of three counts.
"""

import argparse
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import databases
import load
from rich.console import Console

from destination.model.arrival import Arrival
from destination.model.delivery import Delivery
from destination.store import database
from destination.store.queue.enqueue import enqueue

#: How often each is measured, for how many customers, and how many calls are taken in at once.
RUNS, CUSTOMERS, BATCH = 3, 500, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--deliveries", type=int, default=4000)
    count = parser.parse_args().deliveries
    table = load.table(("", "alone, a second", "beside a dead one", "kept"))
    for start in databases.chosen(None):
        with tempfile.TemporaryDirectory() as name, start(Path(name)) as kind, _dead() as dead:
            speeds: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(RUNS):
                for beside in speeds:
                    speeds[beside].append(_speed(kind.make(), Path(name), count, dead, beside))
            alone, other = (statistics.median(each) for each in speeds.values())
            table.add_row(kind.name, f"{alone:,.0f}", f"{other:,.0f}", f"{other / alone:.0%}")
    Console().print(table)


@contextmanager
def _dead() -> Iterator[str]:
    """The address of somebody who takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _speed(url: str, folder: Path, count: int, dead: str, beside: bool) -> float:
    """Deliveries a second to the engine that lives."""
    kept = database.connect(url)
    kept.prepare()
    names = ["rehook", "reward"] if beside else ["rehook"]
    for first in range(0, count, BATCH):
        enqueue(kept, [_arrival(number, names) for number in range(first, first + BATCH)])
    kept.engine.dispose()
    with load.engine(load.ENGINE_TAKES) as engine:
        settings = {
            "DATABASE_URL": url,
            "MAPPINGS": load.ROOT / "mappings",
            "REHOOK_URL": f"http://127.0.0.1:{engine.port}",
            "REWARD_URL": dead,
            "REWARD_API_KEY": "sk_test",
        }
        command = ["-m", "destination", "worker"]
        with load.process(command, settings, folder, "delivering") as worker:
            engine.wait(count // 10, worker)  # it has warmed up
            began, before = time.perf_counter(), engine.answered.value
            engine.wait(count, worker)
            return float((count - before) / (time.perf_counter() - began))


def _arrival(number: int, names: list[str]) -> Arrival:
    customer = f"customer-{number % CUSTOMERS}"
    actions = {
        "rehook": ("trackEvent", f'{{"event_name":"order","source_id":"{customer}"}}'),
        "reward": ("triggerEvent", f'{{"trigger_id":"order","user_id":"{customer}"}}'),
    }
    deliveries = tuple(
        Delivery(
            mapping=name,
            destination=name,
            action=actions[name][0],
            customer=customer,
            payload=actions[name][1],
        )
        for name in names
    )
    return Arrival(source="segment", message_id=f"m{number}", call="{}", deliveries=deliveries)


if __name__ == "__main__":
    main()
