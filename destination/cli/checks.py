"""The commands that check: the mapping files, and the credentials."""

from pathlib import Path

import click

from destination import jsontext
from destination.cli.setup import Setup
from destination.deliveries import Exchange
from destination.errors import Problem
from destination.mapping.files import read_mappings
from destination.partners import Destination
from destination.partners.http import Client
from destination.wording import listed


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON line a fault, for scripts.")
def lint(folder: Path | None, as_json: bool) -> None:
    """Check the mapping files: what is wrong, where, and what to write. Exits 1 for a fault.

    \b
    Examples:
      destination lint
      destination lint my-mappings --json
    """
    setup = Setup.read()
    folder = folder or setup.settings.mappings
    mappings, faults = read_mappings(folder, list(setup.sources), setup.actions)
    for fault in faults:
        if as_json:
            row = {"file": str(fault.path), "line": fault.line, "column": fault.column}
            click.echo(jsontext.dumps({**row, "message": fault.message}))
        else:
            place = click.style(f"{fault.path}:{fault.line}:{fault.column}:", bold=True)
            click.echo(f"{place} {fault.message}")
    if faults:
        raise click.exceptions.Exit(1)
    if not as_json:
        click.echo(f"{len(mappings)} mappings in {folder}: all well.")


@click.command()
def check() -> None:
    """Ask each destination whether it accepts the credentials. Changes nothing there."""
    setup = Setup.read()
    wrong = [
        problem
        for destination in setup.destinations.values()
        if (problem := _problem(setup, destination))
    ]
    if wrong:
        raise Problem("\n".join(wrong))


def _problem(setup: Setup, destination: Destination) -> str | None:
    if missing := setup.missing(destination):
        return f"{destination.label} needs credentials: set {listed(missing)}."
    client = Client(
        destination.url,
        headers=destination.headers(),
        connect_timeout=setup.settings.connect_timeout,
        read_timeout=setup.settings.read_timeout,
        connections=1,
    )
    exchange = client.exchange(destination.check())
    client.close()
    if exchange.status is not None and 200 <= exchange.status < 300:
        click.echo(f"{destination.label} at {destination.url} accepts the credentials.")
        return None
    return f"{destination.label} at {destination.url} {_what_is_wrong(exchange, destination)}"


def _what_is_wrong(exchange: Exchange, destination: Destination) -> str:
    if exchange.status in (401, 403):
        settings = " and ".join(destination.credentials)
        return f"does not accept the credentials ({exchange.status}). Look at {settings}."
    if exchange.status is not None:
        return f"answered {exchange.status} to {exchange.url}: is that its address?"
    return f"gives no answer: {exchange.answer}"
