"""A run by hand: `python -m tests.faults --database postgresql --events 10000 --kills 100 --seed 7`.

With `--kills 0 --pauses 50` nothing happens but that workers are paused past their leases.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.run import Report, Run, go


def table(report: Report) -> Table:
    """The figures of a run."""
    run, verdict = report.run, report.verdict
    found = Table("figure", "", title=f"{run.database}, seed {run.seed}, {report.seconds:.0f} s")
    found.columns[1].justify = "right"
    rows: dict[str, int] = {
        "events sent": verdict.sent,
        "acknowledged": verdict.acknowledged,
        "requests sent again": report.sent_again,
        "kills": report.happened["kill"],
        "workers paused past the lease": report.happened["pause"],
        "receivers paused": report.happened["receiver pause"],
        **{f"database: {name}": n for name, n in report.happened.items() if name not in _OWN},
        "receivers dead": report.receivers_dead,
        **{status: verdict.statuses[status] for status in sorted(verdict.statuses)},
        "requests in the ledger": verdict.requests,
        "attempts": verdict.attempts,
    }
    for name, number in rows.items():
        found.add_row(name, f"{number:,}")
    found.add_section()
    for name, messages in verdict.wrong.items():
        found.add_row(name, _wrong(len(messages)))
    found.add_row("workers dead", _wrong(report.workers_dead))
    return found


def _wrong(count: int) -> str:
    return f"[bold red]{count:,}[/]" if count else "[green]0[/]"


#: What befalls processes, and not the database.
_OWN = ("kill", "pause", "receiver pause")


def command(run: Run) -> str:
    """What to type for the same run again."""
    return (
        f".venv/bin/python -m tests.faults --database {run.database} "
        f"--events {run.events} --kills {run.kills} --pauses {run.worker_pauses} --seed {run.seed}"
    )


def main() -> int:
    """Run it, on one database or on both; 1 when a figure is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="Both without it.")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pauses", type=int, help="Of workers; a tenth of the kills without it.")
    parser.add_argument("--seed", type=int, help="Drawn, and shown, without it.")
    parser.add_argument("--logs", type=Path, help="A folder for what the processes say.")
    options = parser.parse_args()
    seed = random.randrange(10_000) if options.seed is None else options.seed
    console = Console(soft_wrap=True)
    wrong = False
    for kind in [options.database] if options.database else ["sqlite", "postgresql"]:
        run = Run(
            database=kind,
            events=options.events,
            kills=options.kills,
            pauses=options.pauses,
            seed=seed,
        )
        console.print(command(run), highlight=False)
        with console.status("starting") as status:
            tell = status.update if console.is_terminal else _every(10, console)
            if options.logs:
                report = go(run, tell, options.logs / kind)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    report = go(run, tell, Path(folder))
        console.print(table(report))
        for reason in report.skipped:
            console.print(f"skipped: {reason}")
        for name, messages in report.verdict.wrong.items():
            for message in messages[:20]:
                console.print(f"{name}: {message}", highlight=False)
        wrong = wrong or not report.well
    return int(wrong)


def _every(count: int, console: Console):
    """Where there is no terminal, a line for every `count` that would be shown."""
    told = 0

    def tell(line: str) -> None:
        nonlocal told
        if told % count == 0:
            console.print(line, highlight=False)
        told += 1

    return tell


if __name__ == "__main__":
    sys.exit(main())
