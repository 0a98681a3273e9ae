"""The commands that look at what is kept: events, deliveries, discards."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import click

from destination.app import Setup
from destination.cli import tables
from destination.cli.choosing import chosen_by
from destination.cli.counting import batches
from destination.cli.kept import kept_database
from destination.cli.request_body import body_of
from destination.errors import Problem
from destination.model.delivery import Status
from destination.store.database import Database
from destination.store.queries import lists
from destination.store.queries.backlog import Standing, standings
from destination.store.queries.filters import EVERYTHING, Filter
from destination.store.queries.lists import Row
from destination.store.queries.rows import DiscardRow
from destination.store.replay.replay import BATCH, find_deliveries
from destination.store.replay.retry import mark_delivered, send_again
from destination.support import json_codec

#: What a row can be known by, in a database of either kind.
_ID = click.IntRange(1, 2**63 - 1)

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON line a row, for scripts.")
_limit = click.option(
    "--limit", type=click.IntRange(1, 10**9), help="How many at most; a table shows 50, --json all."
)

#: Decides about deliveries, by their ids; returns the ids of those for which it was done.
Decide = Callable[[Database, Sequence[int]], Collection[int]]

EVENTS = {
    "id": "id",
    "message_id": "messageId",
    "source": "source",
    "type": "type",
    "name": "event",
    "outcome": "outcome",
    "reason": "reason",
    "received_at": "receivedAt",
}
DELIVERIES = {
    "id": "id",
    "message_id": "messageId",
    "source": "source",
    "destination": "destination",
    "mapping": "mapping",
    "lane": "lane",
    "status": "status",
    "attempts": "attempts",
    "reason": "reason",
    "since": "age",
    "created_at": "createdAt",
    "settled_at": "settledAt",
}
DISCARDS = {
    "id": "id",
    "message_id": "messageId",
    "source": "source",
    "destination": "destination",
    "mapping": "mapping",
    "reason": "reason",
    "detail": "detail",
    "created_at": "createdAt",
}


@click.group(invoke_without_command=True)
@chosen_by("source", "message_id", "since", "until")
@_limit
@_as_json
@click.pass_context
def events(ctx: click.Context, chosen: Filter, limit: int | None, as_json: bool) -> None:
    """List what arrived, newest first; `events show ID` shows one with all that it made.

    \b
    Examples:
      destination events --limit 10
      destination events show 42
    """
    if ctx.invoked_subcommand is None:
        rows = lists.events(kept_database(Setup.read()), chosen, limit=_rows(limit, as_json))
        tables.show(rows, EVENTS, as_json=as_json)


@events.command("show")
@click.argument("event_id", type=_ID)
def show_event(event_id: int) -> None:
    """Show one event: the call, its deliveries and its discards."""
    event = lists.event(kept_database(Setup.read()), event_id)
    if event is None:
        raise Problem(f"There is no event {event_id}. `destination events` lists them.")
    tables.panel("Event", [f"{event['message_id']}  {json_codec.moment(event['received_at'])}"])
    tables.panel("You sent", _pretty(event["call"]) or ["Removed, since it was past its age."])
    for delivery in event["deliveries"]:
        words = f"{delivery['mapping']} → {delivery['destination']}: {delivery['status']}"
        tables.panel(f"Delivery {delivery['id']}", [words])
    for discard in event["discards"]:
        tables.panel(f"Discard {discard['id']}", [_discard_words(discard)])


@click.group(invoke_without_command=True)
@chosen_by("status", "destination", "mapping", "reason", "customer", "message_id", "since", "until")
@_limit
@_as_json
@click.pass_context
def deliveries(ctx: click.Context, chosen: Filter, limit: int | None, as_json: bool) -> None:
    """List deliveries, newest first; `deliveries show ID` shows one with its attempts.

    \b
    Examples:
      destination deliveries --status uncertain
      destination deliveries show 42
      destination deliveries retry 42 43
      destination deliveries settle --delivered 44
    """
    if ctx.invoked_subcommand is None:
        database = kept_database(Setup.read())
        rows = lists.deliveries(database, chosen, limit=_rows(limit, as_json))
        tables.show(rows, DELIVERIES, as_json=as_json)
        for name, standing in sorted(standings(database).items()) if not as_json else ():
            click.echo(_standing(name, standing))


@deliveries.command("show")
@click.argument("delivery_id", type=_ID)
def show_delivery(delivery_id: int) -> None:
    """Show one delivery: what you sent, and each request with the engine's answer."""
    setup = Setup.read()
    database = kept_database(setup)
    delivery = lists.delivery(database, delivery_id)
    if delivery is None:
        raise Problem(f"There is no delivery {delivery_id}. `destination deliveries` lists them.")
    state = f"{delivery['mapping']} → {delivery['destination']}: {delivery['status']}"
    why = f" ({delivery['reason']})" if delivery["reason"] else ""
    if delivery["confirmed_by"]:
        why = f" (confirmed by event {delivery['confirmed_by']})"
    tables.panel("Delivery", [state + why])
    if delivery["status"] == Status.PENDING.value and delivery["ready_at"]:
        moment = json_codec.moment(delivery["ready_at"])
        tables.panel("Next in its lane", [f"not before {moment}, and after what is ahead of it"])
    tables.panel("You sent", _pretty(delivery["call"]))
    if files := lists.mapping_texts(database, delivery["mapping_set"] or ""):
        tables.panel("Mapping files in force", [f"{delivery['mapping_set']}: {', '.join(files)}"])
    if not delivery["attempt_list"]:
        body = body_of(delivery, setup.destinations)
        tables.panel("Request to destination", ["Not sent yet. It will carry:", *_pretty(body)])
    for attempt in delivery["attempt_list"]:
        _show_attempt(attempt, body_of(delivery, setup.destinations, attempt["method"]))


_among_all = chosen_by("destination", "mapping", "reason", "customer", "since", "until")


@deliveries.command("retry")
@click.argument("ids", nargs=-1, type=_ID)
@click.option("--all", "every", is_flag=True, help="All that failed, or those that filters choose.")
@_among_all
def retry(ids: Sequence[int], every: bool, chosen: Filter) -> None:
    """Send failed deliveries again as they were made, each in its place in its lane.

    Traits that a newer event has set since are left out; where nothing is left, it stays, as stale.
    Where a mapping was mended since, `destination replay --failed` makes them anew.

    \b
    Examples:
      destination deliveries retry 42 43
      destination deliveries retry --all --destination rehook --reason http_404 --since 2h
    """
    chosen = _filter_for(ids, every, chosen, Status.FAILED)
    count = _decide_in_batches(chosen, _send_again(Status.FAILED))
    _say_how_many(count, ids, "not failed, already awarded, or stale", "will be sent again")


@deliveries.command("settle")
@click.argument("ids", nargs=-1, type=_ID)
@click.option("--delivered", is_flag=True, help="You have seen that the engine processed them.")
@click.option("--retry", "again", is_flag=True, help="You have seen that it did not: send again.")
@click.option(
    "--all", "every", is_flag=True, help="All that are uncertain, or those that filters choose."
)
@_among_all
def settle(ids: Sequence[int], delivered: bool, again: bool, every: bool, chosen: Filter) -> None:
    """Settle uncertain deliveries, whose answer was lost: nobody but you can know.

    \b
    Examples:
      destination deliveries settle --delivered 42 43
      destination deliveries settle --retry --all --customer ada --since 2026-05-01T08:00
    """
    if delivered == again:
        raise click.UsageError("Say either --delivered or --retry.")
    chosen = _filter_for(ids, every, chosen, Status.UNCERTAIN)
    count = _decide_in_batches(
        chosen, mark_delivered if delivered else _send_again(Status.UNCERTAIN)
    )
    _say_how_many(
        count, ids, "not uncertain", "are delivered" if delivered else "will be sent again"
    )


@click.group(invoke_without_command=True)
@chosen_by("source", "destination", "mapping", "reason", "message_id", "since", "until")
@_limit
@_as_json
@click.pass_context
def discards(ctx: click.Context, chosen: Filter, limit: int | None, as_json: bool) -> None:
    """List why events made no delivery, newest first; `discards show ID` shows the call.

    \b
    Examples:
      destination discards --reason referral_code_taken
      destination discards show 7
    """
    if ctx.invoked_subcommand is None:
        rows = lists.discards(kept_database(Setup.read()), chosen, limit=_rows(limit, as_json))
        tables.show(rows, DISCARDS, as_json=as_json)


@discards.command("show")
@click.argument("discard_id", type=_ID)
def show_discard(discard_id: int) -> None:
    """Show one discard with the call that made it."""
    discard = lists.discard(kept_database(Setup.read()), discard_id)
    if discard is None:
        raise Problem(f"There is no discard {discard_id}. `destination discards` lists them.")
    tables.panel("Discard", [_discard_words(discard)])
    tables.panel("You sent", _pretty(discard["call"]))


def _rows(limit: int | None, as_json: bool) -> int | None:
    return limit or (None if as_json else tables.DEFAULT_LIMIT)


def _standing(name: str, standing: Standing) -> str:
    """What is not delivered: `rehook: 3 waiting, the oldest for 5m 2s · 1 uncertain, …`."""
    counts = {
        "waiting": (standing.waiting, standing.oldest_waiting_seconds),
        "uncertain": (standing.uncertain, standing.oldest_uncertain_seconds),
    }
    words = [
        f"{count:,} {word}, the oldest for {tables.age(age)}"
        for word, (count, age) in counts.items()
        if count
    ]
    words += [f"{standing.failed:,} failed"] if standing.failed else []
    words += [f"on hold: {standing.held}"] if standing.held else []
    return f"{name}: {' · '.join(words)}"


def _filter_for(ids: Sequence[int], every: bool, chosen: Filter, status: Status) -> Filter:
    """The filter for the deliveries that are named; with --all, for those that filters choose."""
    if bool(ids) == every:
        raise click.UsageError("Name the deliveries, or say --all; not both.")
    if ids and chosen != EVERYTHING:
        raise click.UsageError(
            "Filters are for --all. Leave them out, or the numbers of the deliveries."
        )
    return replace(chosen, ids=ids, status=status)


def _send_again(status: Status) -> Decide:
    """Sends those at a status again, without traits that something newer has set."""
    destinations = Setup.read().clocked
    return lambda database, ids: send_again(database, ids, status, destinations=destinations)


def _decide_in_batches(chosen: Filter, decide: Decide) -> int:
    """Decide about the chosen deliveries, in small batches. Returns for how many it was done."""
    database = kept_database(Setup.read())
    found = find_deliveries(database, chosen)
    return sum(len(decide(database, ids)) for ids in batches(found, BATCH))


def _say_how_many(count: int, ids: Sequence[int], why_not: str, words: str) -> None:
    click.echo(f"{count} {words}.")
    unchanged = len(set(ids)) - count
    if unchanged > 0:
        raise Problem(f"{unchanged} of those named were left as they are: not found, {why_not}.")


def _show_attempt(attempt: Row, body: str | None) -> None:
    if attempt["method"] is None:
        tables.panel(f"Attempt {attempt['number']}", ["under way"])
        return
    request = [f"{attempt['method']} {attempt['url']}"]
    tables.panel(f"Attempt {attempt['number']} · Request to destination", request + _pretty(body))
    status = attempt["status"] or attempt["trouble"]
    verdict = f"{status} → {attempt['verdict']}, {json_codec.moment(attempt['ended_at'])}"
    answer = _pretty(attempt["answer"])
    tables.panel(f"Attempt {attempt['number']} · Response from destination", [verdict, *answer])


def _discard_words(discard: DiscardRow) -> str:
    place = f" ({discard['mapping']})" if discard["mapping"] else ""
    return f"{discard['reason']}{place}: {discard['detail']}"


def _pretty(text: str | None) -> list[str]:
    """JSON, indented; other text as it is; nothing where there is none."""
    if text is None:
        return []
    try:
        return json_codec.pretty(json_codec.loads(text)).splitlines()
    except (ValueError, RecursionError):
        return text.splitlines()
