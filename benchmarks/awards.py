"""What remembering awards costs: calls taken in with an empty register, and with a million in it.

    python benchmarks/awards.py [--awards 1000000]

In one process on SQLite with synchronous commits, calls of one award each, in batches of 100. The
second row of each register is calls whose award was made before.
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from destination.model.arrival import Arrival
from destination.model.delivery import Award, Delivery
from destination.store import database
from destination.store.database import Database
from destination.store.queue.enqueue import enqueue

#: How many batches are taken in, and how many calls each has.
BATCHES, BATCH = 100, 100

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO award SELECT randomblob(32), i, i FROM n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--awards", type=int, default=1_000_000, help="how many are remembered")
    remembered = parser.parse_args().awards
    table = Table("remembered before", "calls", "a second", "CPU µs a call")
    for count in (0, remembered):
        with tempfile.TemporaryDirectory() as folder:
            kept = database.connect(f"sqlite:///{Path(folder) / 'awards.db'}")
            kept.prepare()
            if count:
                with kept.writing() as connection:
                    connection.exec_driver_sql(FILL.format(count=count))
            for name, turn in (("new awards", 0), ("made before", 1)):
                table.add_row(f"{count:,}", name, *_measured(kept, turn))
    Console().print(table)


def _measured(kept: Database, turn: int) -> tuple[str, str]:
    began, spent = time.perf_counter(), time.process_time()
    for batch in range(BATCHES):
        enqueue(kept, [_call(turn, batch * BATCH + number) for number in range(BATCH)])
    calls = BATCHES * BATCH
    seconds = time.perf_counter() - began
    return f"{calls / seconds:,.0f}", f"{(time.process_time() - spent) / calls * 1e6:.0f}"


def _call(turn: int, number: int) -> Arrival:
    # A key as any other: spread over the whole register.
    key = (number * 2654435761 % 2**32).to_bytes(4, "big") * 8
    delivery = Delivery(
        mapping="Order",
        destination="rehook",
        action="trackEvent",
        customer=f"customer-{number % 500}",
        payload='{"event_name":"order"}',
        award=Award(keys=(key,), memory=1e9),
    )
    return Arrival(
        source="segment", message_id=f"{turn}-{number}", call="{}", deliveries=(delivery,)
    )


if __name__ == "__main__":
    main()
