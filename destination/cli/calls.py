"""The command that sends calls from files again, and kept events that a mapping broke on."""

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from destination import jsontext, payloads
from destination.cli import tables
from destination.cli.sender import Sender
from destination.cli.setup import Setup
from destination.database import Database
from destination.deliveries import Delivery, Discard
from destination.errors import Problem, Refused
from destination.events import REFUSALS, read_event
from destination.payloads import Payload
from destination.roster import Roster
from destination.routing import PARKED, Arrival, Routes, arrive, route_again
from destination.store import records
from destination.store.receiving import accept_again
from destination.store.records import Row

#: How many calls one request of a replay carries.
BATCH = 100


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--parked", is_flag=True, help="Run kept events again that a mapping broke on.")
@click.option("--url", help="The receiver's webhook. [default: the one that the settings name]")
@click.option("--rate", type=click.FloatRange(0.1), help="How many calls a second, at most.")
@click.option("--dry-run", is_flag=True, help="Send nothing; count what would become of each.")
@click.option("--new-ids", is_flag=True, help="Send them as new calls, not as the same ones again.")
def replay(
    paths: tuple[str, ...],
    parked: bool,
    url: str | None,
    rate: float | None,
    dry_run: bool,
    new_ids: bool,
) -> None:
    """Send calls from files to the receiver: JSON, a list, a call a line, gzipped or not.

    A call that was received before is a duplicate and changes nothing. Exits 1 when a call was
    refused.

    With --parked, events that are kept already are routed again, by the mappings as they are now.

    \b
    Examples:
      destination replay --parked
      destination replay fixtures/segment
      destination replay export.ndjson.gz --rate 200
      cat calls.ndjson | destination replay -
    """
    if parked == bool(paths):
        raise click.UsageError("Name the files to send, or say --parked.")
    setup = Setup.read()
    if parked:
        database = setup.kept()
        Roster(database, setup.destinations)  # from now on the routes know the subscribers
        found = list(records.parked(database, PARKED))
        outcomes = _run_again(database, found, setup.routes(), dry_run=dry_run)
        _summarise(_counted(outcomes, len(found)))
        return
    if dry_run:
        routes = setup.routes()
        outcomes = (outcome_of(arrive(p.call, "segment", routes)) for p in payloads.read_all(paths))
        _summarise(_counted(outcomes, _total(paths)))
        return
    here = f"http://{setup.settings.host}:{setup.settings.port}/webhooks/segment"
    sender = Sender(url or here)
    calls = payloads.read_all(paths)
    if new_ids:
        suffix = f"-{time.time_ns():x}"
        calls = (payloads.renewed(payload, suffix) for payload in calls)
    _summarise(_counted(_send(sender, calls, rate), _total(paths)))


def outcome_of(arrival: Arrival) -> tuple[str, str | None]:
    """What the receiver would answer, and why: `("discarded", "id_required")`."""
    if arrival.deliveries:
        return "accepted", None
    reason = arrival.discards[0].reason
    return ("refused" if reason in REFUSALS else "discarded"), reason


def _run_again(
    database: Database, parked: Iterable[Row], routes: Routes, *, dry_run: bool
) -> Iterator[tuple[str, str | None]]:
    """Route parked events again, each by the mapping that broke on it."""
    for row in parked:
        event = read_event(jsontext.loads(row["call"]), source=row["source"], max_bytes=2**31)
        results = route_again(event, routes, mapping=row["mapping"], destination=row["destination"])
        result: Delivery | Discard | None = results[0]
        if not dry_run:
            result = accept_again(database, row["event_id"], row["id"], results)
        if isinstance(result, Discard):
            yield "discarded", result.reason
        elif result is not None:
            yield "accepted", None


def _send(
    sender: Sender, found: Iterable[Payload], rate: float | None
) -> Iterator[tuple[str, str | None]]:
    """Send payloads in order, many in a request where they go together."""
    started, sent = time.monotonic(), 0
    size = BATCH if rate is None else max(1, min(BATCH, int(rate / 4)))
    for alone, group in itertools.groupby(found, key=_goes_alone):
        while batch := list(itertools.islice(group, 1 if alone else size)):
            for text in batch[0].before:
                sender.send([text])
            for result in sender.send([payload.text for payload in batch]):
                yield result.word, result.reason
            sent += len(batch)
            if rate is not None:
                time.sleep(max(0.0, started + sent / rate - time.monotonic()))


def _goes_alone(payload: Payload) -> bool:
    """A fixture is sent as it is; so is what cannot be read, which would spoil a list."""
    return payload.expect is not None or isinstance(payload.call, Refused)


def _total(paths: Iterable[str]) -> int | None:
    """How many calls there are; None for standard input, which can be read only once."""
    return None if "-" in paths else sum(1 for _ in payloads.read_all(paths))


def _counted(
    outcomes: Iterable[tuple[str, str | None]], total: int | None
) -> Counter[tuple[str, str | None]]:
    """Count outcomes, with a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    counts: Counter[tuple[str, str | None]] = Counter()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("calls", total=total)
        try:
            for outcome in outcomes:
                counts[outcome] += 1
                progress.advance(task)
        except KeyboardInterrupt:
            raise Problem(
                f"Stopped after {counts.total():,} calls. Run it again: those are duplicates then."
            ) from None
    return counts


def _summarise(counts: Counter[tuple[str, str | None]]) -> None:
    """The table of outcomes; exit 1 when a call was refused."""
    table = tables.new_table(("outcome", "reason", "calls"))
    for (outcome, reason), count in sorted(counts.items(), key=lambda item: str(item[0])):
        table.add_row(tables.coloured(outcome), reason or "", f"{count:,}")
    if counts:
        tables.console().print(table)
    click.echo(f"{counts.total():,} calls.")
    if any(outcome == "refused" for outcome, _ in counts):
        raise click.exceptions.Exit(1)
