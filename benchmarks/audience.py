"""Whether a purchase waits while an audience is connected: real processes, an engine of 20 ms.

    python benchmarks/audience.py [--members 100000] [--rate 1000] [--only sqlite]

Customers buy all the time, one in each 50 ms, at any moment of it. First it is quiet; then an
audience sends all its members, so many a second, by batches of 100. A purchase takes from when it
is sent to us to when it arrives at the engine.
"""

import argparse
import itertools
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import databases
import load
from rich.console import Console

#: Seconds that the engine takes to answer, and seconds between two purchases.
ENGINE_TAKES, EACH = 0.02, 0.05

#: How many purchases are measured while it is quiet, and how many may be in all.
QUIET, MOST = 600, 100_000

#: How many buy at once where answers are slow, and how many customers buy in turn.
BUYERS, CUSTOMERS = 8, 500

#: How many members a batch has, and how many senders send them.
BATCH, SENDERS = 100, 2

COLUMNS = (
    *("", "members", "taken in\na second", "delivered\na second", "quiet\np50 ms", "quiet\np99 ms"),
    *("flood\np50 ms", "flood\np99 ms", "ratio\nof p99"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--members", type=int, default=100_000, help="of the audience")
    parser.add_argument("--rate", type=float, default=1000, help="members a second; 0: all at once")
    parser.add_argument("--only", choices=databases.KINDS, help="this database alone")
    arguments = parser.parse_args()
    table = load.table(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for start in databases.chosen(arguments.only):
            with start(Path(folder)) as kept:
                table.add_row(*_measure(kept, arguments.members, arguments.rate, Path(folder)))
        Console(width=110).print(table)
        print(load.conditions(Path(folder)))
    print(
        f"A purchase in each {EACH * 1000:.0f} ms, of {CUSTOMERS} customers who are no members; "
        f"{SENDERS} senders of {BATCH} members a request,\none receiver, one worker, an engine "
        f"that answers after {ENGINE_TAKES * 1000:.0f} ms, all on this machine."
    )


def _measure(kind: databases.Kind, members: int, rate: float, folder: Path) -> Iterator[str]:
    """The cells of a line."""
    requests = [
        load.request([_member(start + number) for number in range(BATCH)])
        for start in range(0, members, BATCH)
    ]
    with load.engine(ENGINE_TAKES, orders=MOST) as engine, ExitStack() as running:
        port = load.free_port()
        settings = {
            "DATABASE_URL": kind.make(),
            "PORT": port,
            "MAPPINGS": load.ROOT / "mappings",
            "REHOOK_URL": f"http://127.0.0.1:{engine.port}",
        }
        for command, says in (("serve", "receiving"), ("worker", "delivering")):
            process = load.process(["-m", "destination", command], settings, folder, says)
            worker = running.enter_context(process)
        orders = Orders(port, engine)
        orders.place(lambda: orders.placed < QUIET)
        quiet = orders.took()
        began, taken_in = time.perf_counter(), 0.0

        def flood() -> None:
            nonlocal taken_in
            load.send(port, requests, SENDERS, each=BATCH / rate if rate else 0.0)
            taken_in = time.perf_counter() - began

        sending = threading.Thread(target=flood)
        sending.start()
        total = len(requests) * BATCH
        # A few orders are always under way: the last few members are not waited for.
        orders.place(lambda: engine.answered.value + BUYERS < orders.placed + total)
        seconds = time.perf_counter() - began
        sending.join()
        engine.wait(orders.placed + total, worker)
        flooded = orders.took()
    p50, p99 = load.percentiles(quiet)
    flood_p50, flood_p99 = load.percentiles(flooded)
    yield from (kind.name, f"{total:,}", f"{total / taken_in:,.0f}", f"{total / seconds:,.0f}")
    yield from (f"{p50:.1f}", f"{p99:.1f}", f"{flood_p50:.1f}", f"{flood_p99:.1f}")
    yield f"{flood_p99 / p99:.2f}"


class Orders:
    """Places orders, one in each `EACH`, and tells how long they took to the engine."""

    def __init__(self, port: int, engine: load.Engine) -> None:
        self._port, self._engine = port, engine
        self._sent: dict[int, float] = {}
        self._numbers = itertools.count()
        self._told = 0
        self._chance = random.Random(1)

    @property
    def placed(self) -> int:
        """How many there have been."""
        return len(self._sent)

    def place(self, more: Callable[[], bool]) -> None:
        """Place orders while there are to be `more`."""
        ends = time.monotonic() + 20 * load.PATIENCE
        begins, turns = time.monotonic(), itertools.count()

        def buy() -> None:
            connection = socket.create_connection(("127.0.0.1", self._port))
            while more() and time.monotonic() < ends:
                # Whoever is late does not keep the next one waiting: somebody else places it.
                due = begins + (next(turns) + self._chance.random()) * EACH
                time.sleep(max(0.0, due - time.monotonic()))
                number = next(self._numbers)
                request = load.request([_order(number)])
                self._sent[number] = time.monotonic()
                # Where the machine stands still for a moment, it is told to come back.
                while not (answer := load.exchange(connection, request)).startswith(
                    b"HTTP/1.1 200"
                ):
                    if not answer or time.monotonic() > ends:
                        raise SystemExit("The receiver does not take an order.")
                    time.sleep(EACH)
            connection.close()

        buyers = [threading.Thread(target=buy) for _ in range(BUYERS)]
        for buyer in buyers:
            buyer.start()
        for buyer in buyers:
            buyer.join()

    def took(self) -> list[float]:
        """Seconds that the orders took that were not told of yet."""
        ends = time.monotonic() + load.PATIENCE
        while not all(self._engine.orders[n] for n in range(self._told, self.placed)):
            if time.monotonic() > ends:
                raise SystemExit("Not all orders reached the engine.")
            time.sleep(0.01)
        found = [self._engine.orders[n] - self._sent[n] for n in range(self._told, self.placed)]
        self._told = self.placed
        return found


def _order(number: int) -> dict[str, object]:
    made = load.call(number)
    return {**made, "userId": f"buyer-{number % CUSTOMERS}"}


def _member(number: int) -> dict[str, object]:
    """As Engage tells of a member: an identify of about 1 KB."""
    return {
        "type": "identify",
        "messageId": f"member-{time.time_ns()}-{number}",
        "userId": f"member-{number}",
        "timestamp": "2026-03-14T09:26:53.589Z",
        "context": {
            "personas": {"computation_class": "audience", "computation_key": "vip"},
            "userAgent": "x" * 500,
        },
        "traits": {"vip": True},
    }


if __name__ == "__main__":
    main()
