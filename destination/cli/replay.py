"""The command that sends again: what is kept, by what became of it, or calls from files."""

from collections.abc import Iterator, Sequence

import click

from destination.app import Setup
from destination.cli.calls import replay_files
from destination.cli.choosing import chosen_by
from destination.cli.counting import Throttle, batches, counted, summarise
from destination.cli.kept import kept_database
from destination.model.arrival import CountedOutcome
from destination.registry import Registry
from destination.routing.route import Routes
from destination.store.database import Database
from destination.store.queries.filters import EVERYTHING, Filter
from destination.store.queries.lists import remember_mappings
from destination.store.replay import replay as replays
from destination.store.replay.replay import Kind

#: What is replayed of each kind, as it is counted.
UNITS = {
    Kind.FAILED: "failed deliveries",
    Kind.DISCARDED: "discards",
    Kind.QUARANTINED: "quarantined events",
    Kind.UNCERTAIN: "uncertain deliveries",
}


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--failed", "kind", flag_value="failed", help="Deliveries that failed.")
@click.option("--discarded", "kind", flag_value="discarded", help="Events that were discarded.")
@click.option("--quarantined", "kind", flag_value="quarantined", help="Those a mapping broke on.")
@click.option("--parked", "kind", flag_value="quarantined", hidden=True)  # its former name
@click.option("--uncertain", "kind", flag_value="uncertain", help="Awards whose answer was lost.")
@chosen_by("since", "until", "destination", "reason", "mapping")
@click.option("--may-pay-twice", is_flag=True, help="With --uncertain: you know that it may.")
@click.option("--rate", type=click.FloatRange(0.1), help="How many a second, at most.")
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would become of each.")
@click.option("--source", default="segment", help="With PATHS: who sends such. [default: segment]")
@click.option("--url", help="With PATHS: the receiver's webhook. [default: as the settings say]")
@click.option("--new-ids", is_flag=True, help="With PATHS: as new calls, not the same ones again.")
def replay(
    paths: tuple[str, ...],
    kind: str | None,
    chosen: Filter,
    may_pay_twice: bool,
    rate: float | None,
    dry_run: bool,
    source: str,
    url: str | None,
    new_ids: bool,
) -> None:
    """Send again what is kept, or calls from files.

    Kept events run again by the mappings as they are now, and only what is missing is sent, in
    each customer's order. An uncertain award is sent again as it was made. It can be stopped at
    any time and run again: what is on its way already is not sent a second time.

    PATHS are files of calls, which are sent to the receiver: JSON, a list, a call a line, gzipped
    or not, - for standard input. A call that was received before is a duplicate and changes
    nothing. Exits 1 when a call was refused.

    \b
    Examples:
      destination replay --failed --since 2h --dry-run
      destination replay --discarded --reason no_matching_mapping --rate 50
      destination replay --quarantined
      destination replay --uncertain --until 1d --may-pay-twice
      destination replay export.ndjson.gz --rate 200
      destination replay --source rehook fixtures/rehook
    """
    if bool(kind) == bool(paths):
        raise click.UsageError(
            "Name the files to send, or say one of --failed, --discarded, --quarantined, "
            "--uncertain."
        )
    if paths:
        if chosen != EVERYTHING or may_pay_twice:
            raise click.UsageError("Files are sent whole: filters are for what is kept.")
        setup = Setup.read()
        replay_files(
            setup, paths, source=source, url=url, rate=rate, dry_run=dry_run, new_ids=new_ids
        )
        return
    if url or new_ids:
        raise click.UsageError("--url and --new-ids are for files.")
    _replay_kept(Kind(kind), chosen, may_pay_twice=may_pay_twice, rate=rate, dry_run=dry_run)


def _replay_kept(
    kind: Kind, chosen: Filter, *, may_pay_twice: bool, rate: float | None, dry_run: bool
) -> None:
    if kind is Kind.QUARANTINED and chosen.reason:
        raise click.UsageError("--quarantined is a reason by itself: say --discarded --reason.")
    if kind is Kind.UNCERTAIN and not (may_pay_twice or dry_run):
        raise click.UsageError(
            "Their answers were lost: they may have been paid, and would be paid again. Look at "
            "the engine, and `destination deliveries settle` what you found; or say "
            "--may-pay-twice."
        )
    if kind is not Kind.UNCERTAIN and may_pay_twice:
        raise click.UsageError("--may-pay-twice is for --uncertain.")
    setup = Setup.read()
    database, routes = kept_database(setup), setup.routes()
    # Fan-out asks the destination `webhook` for its subscribers: a new registry tells it them.
    Registry(database, setup.destinations)
    found = replays.find(database, kind, chosen)
    if not dry_run:
        remember_mappings(database, routes.digest, routes.texts)
    outcomes = _run(database, kind, found, routes, rate=rate, dry_run=dry_run)
    again = "what is on its way is not sent a second time."
    counts = counted(outcomes, len(found), unit=UNITS[kind], again=again)
    summarise(counts, unit=UNITS[kind])
    accepted = counts[CountedOutcome("accepted")]
    words = "would be put on their way" if dry_run else "were put on their way"
    click.echo(f"{accepted:,} of {len(found):,} {UNITS[kind]} {words}.")


def _run(
    database: Database,
    kind: Kind,
    found: Sequence[int],
    routes: Routes,
    *,
    rate: float | None,
    dry_run: bool,
) -> Iterator[CountedOutcome]:
    pace = Throttle(None if dry_run else rate, most=replays.BATCH)
    for ids in batches(found, pace.size):
        yield from replays.replay(database, kind, ids, routes, commit=not dry_run)
        pace.wait(len(ids))
