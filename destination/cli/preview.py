"""The command that shows what would become of calls, and why: preview."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from destination.app import Setup
from destination.cli import call_files
from destination.cli.explaining import Explainer
from destination.errors import Problem
from destination.mapping.files import stamps
from destination.model.arrival import Arrival, Outcome
from destination.model.delivery import Delivery
from destination.model.reason import REFUSALS
from destination.routing.route import Routes, arrive
from destination.support import json_codec
from destination.support.text import printable_lines

#: Seconds between two looks at the files.
LOOK_EVERY = 0.3


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--source", default="segment", show_default=True, help="Who sends such calls.")
@click.option("--mapping", "only", help="Look at this mapping alone, by its name.")
@click.option("--watch", is_flag=True, help="Show it again whenever a file is saved.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a call, for scripts.")
def preview(
    paths: tuple[str, ...], source: str, only: str | None, watch: bool, as_json: bool
) -> None:
    """Show what would be sent for calls, and why, or why nothing would; sends nothing.

    For each mapping: the request, and each field's way from the event to it; or the condition
    that does not hold, with the value found.

    It looks at the calls and the mappings alone: what was received before, and whose a referral
    code is, it does not know. Exits 1 when a call would be refused.

    \b
    Examples:
      destination preview fixtures/segment/valid/order-completed.json
      destination preview --mapping "Track Event" --watch my-event.json
      destination preview --source rehook fixtures/rehook/valid/customer-created.json
      cat calls.ndjson | destination preview --json -
    """
    setup = Setup.read()
    if not watch:
        if _show(setup, paths, source, only, as_json=as_json):
            raise click.exceptions.Exit(1)
        return
    if as_json or "-" in paths:
        raise click.UsageError("--watch is for people and files: leave --json and - out.")
    with suppress(KeyboardInterrupt):
        for _ in _saves([setup.settings.mappings, *map(Path, paths)]):
            click.clear()
            try:
                _show(setup, paths, source, only, as_json=False)
            except (Problem, OSError) as problem:
                click.echo(f"{printable_lines(str(problem))}\n")
            click.echo("Save a mapping or an event to see it again. Ctrl-C ends this.", err=True)


def _show(
    setup: Setup, paths: Sequence[str], source: str, only: str | None, *, as_json: bool
) -> bool:
    """Show each call; whether one of them would be refused."""
    routes = setup.routes()
    if only is not None:
        routes = _only(routes, only)
    explainer = Explainer(routes, in_detail=only is not None)
    refused = False
    for file_call in call_files.read_all(paths, setup.source(source)):
        arrival = arrive(file_call.call, source, routes)
        refused = refused or any(discard.reason in REFUSALS for discard in arrival.discards)
        if as_json:
            click.echo(json_codec.dumps(_row(arrival, routes)))
        else:
            explainer.explain(file_call, arrival)
    return refused


def _only(routes: Routes, name: str) -> Routes:
    chosen = [mapping for mapping in routes.mappings if mapping.name == name]
    if not chosen:
        names = ", ".join(mapping.name for mapping in routes.mappings)
        raise Problem(f"No mapping is called {name}. There is {names}.")
    return replace(routes, mappings=chosen)


def _row(arrival: Arrival, routes: Routes) -> dict[str, object]:
    """What would become of a call, for scripts."""
    discard = None if arrival.deliveries else arrival.discards[0]
    return {
        "messageId": arrival.message_id,
        "outcome": Outcome.DISCARDED if discard else Outcome.ACCEPTED,
        "reason": discard and discard.reason,
        "detail": discard and discard.detail,
        "requests": [_request(delivery, routes) for delivery in arrival.deliveries],
    }


def _request(delivery: Delivery, routes: Routes) -> dict[str, object]:
    destination = routes.destinations[delivery.destination]
    action = destination.actions[delivery.action]
    request = action.requests(json_codec.load_object(delivery.payload))[-1]
    return {
        "mapping": delivery.mapping,
        "destination": delivery.destination,
        "action": delivery.action,
        "method": request.method,
        "url": destination.url + request.path,
        "body": None if request.body is None else json_codec.loads(request.body),
    }


def _saves(roots: Sequence[Path]) -> Iterator[None]:
    """Now, and again after each change of a file, or of one in a folder."""
    seen = None
    while True:
        # Looked at before it is shown: what is saved meanwhile is a change.
        if (found := stamps(roots)) != seen:
            seen = found
            yield
        time.sleep(LOOK_EVERY)
