"""How soon the next ready delivery is found, whatever waits behind customers that are in backoff.

    python benchmarks/leasing.py [--waiting 100000] [--only sqlite]

In one process, with synchronous commits: to look takes no lock, and a claim is a whole transaction,
attempt and lease included. It ends with a fault where the slowest 1 % of the looks take more than
5 ms.
"""

import argparse
import tempfile
import time
from pathlib import Path

import databases
import load
from filled import Filled
from rich.console import Console

from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.verdict import Exchange, Verdict
from destination.store.queue import poll, rate_limit
from destination.store.queue.rate_limit import Capacity, Terms

#: How many customers are in backoff, and for how many seconds.
BLOCKED, BACKOFF = 1000, 3600.0

#: How many deliveries become ready, one after the other.
READY = 2000

#: So many failures would open the breaker, which is not what is measured.
TERMS = Terms(breaker_failures=0)

#: Milliseconds within which all but 1 % of the looks find the next one.
FOUND_WITHIN = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--waiting", type=int, default=100_000, help="deliveries in backoff")
    parser.add_argument("--only", choices=databases.KINDS, help="this database alone")
    arguments = parser.parse_args()
    table = load.table(("", "waiting", "look p50\nms", "p99\nms", "claim p50\nms", "p99\nms"))
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for start in databases.chosen(arguments.only):
            with start(Path(folder)) as kept:
                for waiting in (0, arguments.waiting):
                    looks, leases = _measure(kept.make(), waiting)
                    cells = [*load.percentiles(looks), *load.percentiles(leases)]
                    table.add_row(kept.name, f"{waiting:,}", *(f"{cell:.1f}" for cell in cells))
                    if cells[1] > FOUND_WITHIN:
                        faults.append(f"{kept.name}: {cells[1]:.1f} ms with {waiting:,} waiting.")
        Console(width=130).print(table)
        print(load.conditions(Path(folder)))
    if faults:
        raise SystemExit("\n".join(faults))


def _measure(url: str, waiting: int) -> tuple[list[float], list[float]]:
    """The seconds that each look took, and each claim."""
    kept = Filled(url, customers=BLOCKED)
    rate_limit.register(kept.database, ["rehook"])
    kept.fill(waiting)
    if waiting:
        leases = _turn(kept, [], room=BLOCKED)
        _turn(kept, [_settled(lease, Verdict.RETRY) for lease in leases], room=0)
    kept.customers = waiting + READY  # from now on, each call is of somebody new
    looked, leased = [], []
    for _ in range(READY):
        kept.fill(1)
        began = time.perf_counter()
        if poll.look(kept.database, [Capacity(destination="rehook", room=1)]) > 0:
            raise SystemExit("What is ready was not found.")
        looked.append(time.perf_counter() - began)
        began = time.perf_counter()
        [lease] = _turn(kept, [], room=1)
        leased.append(time.perf_counter() - began)
        _turn(kept, [_settled(lease, Verdict.DELIVERED)], room=0)
    kept.database.engine.dispose()
    return looked, leased


def _turn(kept: Filled, acks: list[Acknowledgement], room: int) -> list[Lease]:
    wanted = [Capacity(destination="rehook", room=room)] if room else []
    return poll.poll(kept.database, acks, wanted, TERMS).leases


def _settled(lease: Lease, verdict: Verdict) -> Acknowledgement:
    delivered = verdict is Verdict.DELIVERED
    exchange = Exchange(method="POST", url="http://engine", status=200 if delivered else 429)
    return Acknowledgement(
        lease=lease,
        exchange=exchange,
        verdict=verdict,
        status=Status.DELIVERED if delivered else Status.PENDING,
        step=1 if delivered else 0,
        wait=0.0 if delivered else BACKOFF,
    )


if __name__ == "__main__":
    main()
