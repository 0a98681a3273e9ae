"""The command that compares what was sent to us with what arrived."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from destination.app import Setup
from destination.cli.calls import receiver_url, send
from destination.cli.counting import counted, summarise
from destination.cli.exports import Sent, read_export
from destination.cli.kept import kept_database
from destination.cli.sender import Sender
from destination.errors import Problem
from destination.model.arrival import CountedOutcome
from destination.store.database import Database
from destination.store.queries.reconcile import outcomes
from destination.support import json_codec

#: How many calls are looked up at a time.
CHUNK = 500

#: What never arrived.
MISSING = CountedOutcome("missing")


@click.command()
@click.argument("file")
@click.option("--send", "sending", is_flag=True, help="Send what is missing to the receiver.")
@click.option("--rate", type=click.FloatRange(0.1), help="With --send: how many a second, at most.")
@click.option("--url", help="With --send: the receiver's webhook. [default: as the settings say]")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a call, for scripts.")
def reconcile(file: str, sending: bool, rate: float | None, url: str | None, as_json: bool) -> None:
    """Compare an export of what Segment sent with what arrived here: the way back from an outage
    that lasted longer than the 4 hours for which Segment tries.

    FILE holds message ids, one a line; or a table (CSV) with a column messageId; or whole calls:
    JSON, a list, a call a line. It may be gzipped; - is standard input. With --send, whole calls
    that are missing are sent to the receiver. Exits 1 when some are missing, and stay so.

    \b
    Examples:
      destination reconcile export.csv
      destination reconcile export.ndjson.gz --json | grep missing
      destination reconcile export.ndjson.gz --send --rate 200
    """
    if not sending and (url or rate):
        raise click.UsageError("--rate and --url are for --send.")
    setup = Setup.read()
    segment = setup.source("segment")
    sender = Sender(url or receiver_url(setup, segment.name), segment) if sending else None
    compared = _compare(kept_database(setup), read_export(file), sender, rate)
    if as_json:
        counts = _print(compared)
    else:
        results = (outcome for _, outcome in compared)
        again = "what was sent has arrived then."
        counts = counted(results, None, unit="calls", again=again)
    missing = counts[MISSING]
    if not as_json:
        summarise(counts, unit="calls")
        sent = sum(count for (word, _), count in counts.items() if word.startswith("sent, "))
        arrived = counts.total() - missing - sent
        words = f"{counts.total():,} calls: {arrived:,} had arrived, {missing + sent:,} had not"
        click.echo(words + (f"; {sent:,} of those were sent now." if sending else "."))
    if missing:
        raise click.exceptions.Exit(1)


def _compare(
    database: Database, found: Iterator[Sent], sender: Sender | None, rate: float | None
) -> Iterator[tuple[str, CountedOutcome]]:
    """Each call's message id, with what became of it; those that are missing are sent."""
    while chunk := list(itertools.islice(found, CHUNK)):
        known = outcomes(database, "segment", [sent.message_id for sent in chunk])
        missing = [sent for sent in chunk if sent.message_id not in known]
        for sent in chunk:
            if sent.message_id in known:
                yield sent.message_id, known[sent.message_id]
        if sender is None:
            yield from ((sent.message_id, MISSING) for sent in missing)
        else:
            yield from _send(sender, missing, rate)


def _send(
    sender: Sender, missing: Sequence[Sent], rate: float | None
) -> Iterator[tuple[str, CountedOutcome]]:
    calls = [sent.file_call for sent in missing if sent.file_call]
    if len(calls) < len(missing):
        raise Problem(
            "The export has message ids alone, and what is missing cannot be sent from them. "
            "--send needs an export of whole calls."
        )
    answers = send(sender, calls, rate)
    for sent, (word, reason) in zip(missing, answers, strict=True):
        yield sent.message_id, CountedOutcome(f"sent, {word}", reason)


def _print(compared: Iterable[tuple[str, CountedOutcome]]) -> Counter[CountedOutcome]:
    counts: Counter[CountedOutcome] = Counter()
    for message_id, became in compared:
        click.echo(json_codec.dumps({"messageId": message_id, **became._asdict()}))
        counts[became] += 1
    return counts
