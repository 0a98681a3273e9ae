"""How a long command tells of itself: a progress bar, a rate, a table of what came out."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from destination.cli import tables
from destination.errors import Problem
from destination.model.arrival import CountedOutcome

T = TypeVar("T")


class Throttle:
    """Keeps to a rate, in things a second; without one, it goes as fast as it can."""

    def __init__(self, rate: float | None, *, most: int) -> None:
        self._rate = rate
        self._started = time.monotonic()
        self._done = 0
        #: How many to do at once, at most `most`.
        self.size = most if rate is None else max(1, min(most, int(rate / 4)))

    def wait(self, count: int) -> None:
        """Wait, after `count` more were done."""
        self._done += count
        if self._rate is not None:
            due = self._started + self._done / self._rate
            time.sleep(max(0.0, due - time.monotonic()))


def counted(
    outcomes: Iterable[CountedOutcome], total: int | None, *, unit: str, again: str
) -> Counter[CountedOutcome]:
    """Count outcomes, with a progress bar on standard error. Raises Problem on Ctrl-C, which
    says what becomes of it when it is run `again`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    counts: Counter[CountedOutcome] = Counter()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(unit, total=total)
        try:
            for outcome in outcomes:
                counts[outcome] += 1
                progress.advance(task)
        except KeyboardInterrupt:
            raise Problem(
                f"Stopped after {counts.total():,} {unit}. Run it again: {again}"
            ) from None
    return counts


def summarise(counts: Counter[CountedOutcome], *, unit: str) -> None:
    """Print the table of outcomes."""
    table = tables.new_table(("outcome", "reason", unit))
    for (outcome, reason), count in sorted(counts.items(), key=lambda item: str(item[0])):
        table.add_row(tables.coloured(outcome), tables.coloured(reason or ""), f"{count:,}")
    if counts:
        tables.console().print(table)


def batches(found: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """All of `found`, at most `size` at a time."""
    return (found[start : start + size] for start in range(0, len(found), size))
