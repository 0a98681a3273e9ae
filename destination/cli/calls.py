"""Calls from files, sent to a receiver as Segment sends them."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import click

from destination.app import Setup
from destination.cli import call_files
from destination.cli.call_files import FileCall
from destination.cli.counting import Throttle, counted, summarise
from destination.cli.sender import Sender, outcome_word
from destination.errors import Refused
from destination.model.arrival import Arrival, CountedOutcome, Outcome
from destination.partners.base.source import Source
from destination.routing.route import arrive

#: How many calls one request of a replay carries.
BATCH = 100


def replay_files(
    setup: Setup,
    paths: Sequence[str],
    *,
    source: str,
    url: str | None,
    rate: float | None,
    dry_run: bool,
    new_ids: bool,
) -> None:
    """Send the calls of files to a receiver, and print what became of them. Raises Exit with 1
    when one was refused, and Problem when a file cannot be read or the receiver not reached.
    """
    outcomes: Iterator[CountedOutcome]
    partner = setup.source(source)
    calls = call_files.read_all(paths, partner)
    if dry_run:
        routes = setup.routes()
        outcomes = (outcome_of(arrive(each.call, source, routes)) for each in calls)
    else:
        if new_ids:
            suffix = f"-{time.time_ns():x}"
            calls = (call_files.renewed(file_call, suffix) for file_call in calls)
        outcomes = send(Sender(url or receiver_url(setup, source), partner), calls, rate)
    again = "those are duplicates then."
    counts = counted(outcomes, _total(paths, partner), unit="calls", again=again)
    summarise(counts, unit="calls")
    click.echo(f"{counts.total():,} calls.")
    if any(outcome == "refused" for outcome, _ in counts):
        raise click.exceptions.Exit(1)


def receiver_url(setup: Setup, source: str) -> str:
    """The webhook of the receiver that runs here, by the settings."""
    return f"http://{setup.settings.host}:{setup.settings.port}/webhooks/{source}"


def outcome_of(arrival: Arrival) -> CountedOutcome:
    """What the receiver would answer, and why: `discarded`, `id_required`."""
    if arrival.deliveries:
        return CountedOutcome(Outcome.ACCEPTED)
    reason = arrival.discards[0].reason
    return CountedOutcome(outcome_word(Outcome.DISCARDED, reason), reason)


def send(sender: Sender, found: Iterable[FileCall], rate: float | None) -> Iterator[CountedOutcome]:
    """Send calls in order, many in a request where they go together."""
    pace = Throttle(rate, most=BATCH)
    for alone, group in itertools.groupby(found, key=_goes_alone):
        while batch := list(itertools.islice(group, 1 if alone else pace.size)):
            for text in batch[0].before:
                sender.send([text])
            for result in sender.send([file_call.text for file_call in batch]):
                yield CountedOutcome(result.word, result.reason)
            pace.wait(len(batch))


def _goes_alone(file_call: FileCall) -> bool:
    """A fixture is sent as it is; so is what cannot be read, which would spoil a list."""
    return file_call.expect is not None or isinstance(file_call.call, Refused)


def _total(paths: Iterable[str], source: Source) -> int | None:
    """How many calls there are; None for standard input, which can be read only once."""
    return None if "-" in paths else sum(1 for _ in call_files.read_all(paths, source))
