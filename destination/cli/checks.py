"""The commands that check: the mapping files, and the credentials."""

from collections import Counter
from pathlib import Path

import click

from destination.app import Setup
from destination.cli import call_files, doors
from destination.errors import Problem
from destination.mapping.files import files
from destination.mapping.schema import schema_of
from destination.model.verdict import Exchange
from destination.outbound.client import Client
from destination.partners.base.destination import Destination
from destination.support import json_codec
from destination.support.json_codec import Json
from destination.support.text import listed


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON line a fault, for scripts.")
def lint(path: Path | None, as_json: bool) -> None:
    """Check the mapping files: what is wrong, where, and what to write.

    PATH is a file, or a folder of them. A path that no event of the folder fixtures has is a
    warning. Exits 1 for an error, 0 when there are warnings only.

    \b
    Examples:
      destination lint
      destination lint mappings/segment-to-rehook/order.yaml
      destination lint my-mappings --json
    """
    setup = Setup.read()
    path = path or setup.settings.mappings
    examples = {name: _examples(setup, name) for name in setup.sources}
    _, findings = setup.read_mappings(path, examples)
    for finding in findings:
        if as_json:
            row = {"file": str(finding.path), "line": finding.line, "column": finding.column}
            click.echo(
                json_codec.dumps({**row, "severity": finding.severity, "message": finding.message})
            )
        else:
            place = click.style(f"{finding.path}:{finding.line}:{finding.column}:", bold=True)
            mark = click.style("warning: ", fg="yellow") if finding.severity == "warning" else ""
            click.echo(f"{place} {mark}{finding.message}")
    counts = Counter(finding.severity for finding in findings)
    if not as_json:
        found = [_counted(count, word) for word, count in sorted(counts.items())]
        colour = "red" if counts["error"] else "yellow" if findings else "green"
        outcome = click.style(listed(found) if found else "all well", fg=colour)
        click.echo(f"{_counted(len(files(path)), 'mapping')} in {path}: {outcome}.")
    if counts["error"]:
        raise click.exceptions.Exit(1)


@click.command()
def schema() -> None:
    """Print the JSON Schema by which an editor completes and checks a mapping file.

    It is in mappings/.schema.json, which a mapping file names in its first line:

    \b
      # yaml-language-server: $schema=../.schema.json

    Write it anew when an action or a directive changes:

    \b
      destination schema > mappings/.schema.json
    """
    click.echo(json_codec.pretty(schema_of(Setup.read().actions)))


def _examples(setup: Setup, source: str) -> list[Json]:
    """The events of the folder `fixtures/SOURCE`, which stands beside the folder of mappings."""
    folder = setup.settings.mappings.parent / "fixtures" / source
    found = call_files.read_all([str(folder)], setup.sources[source]) if folder.is_dir() else ()
    return [payload.call for payload in found if isinstance(payload.call, dict)]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@click.command()
def check() -> None:
    """Ask each destination in use whether it accepts the credentials. Changes nothing there.

    Says also which doors of the receiver are closed, since no credential is set for them, and what
    opens each. A closed door is no fault: the exit code tells of the destinations alone.
    """
    setup = Setup.read()
    wrong = [
        problem
        for destination in setup.destinations.values()
        if (problem := _problem(setup, destination))
    ]
    for sentence in doors.closed(setup):
        click.echo(sentence)
    if wrong:
        raise Problem("\n".join(wrong))


def _problem(setup: Setup, destination: Destination) -> str | None:
    missing = setup.missing(destination)
    if not destination.in_use:
        click.echo(f"{destination.label} is not in use: {listed(missing)} is not set.")
        return None
    if missing:
        return f"{destination.label} needs credentials: set {listed(missing)}."
    request = destination.check()
    if request is None:
        place = f" at {destination.url}" if destination.credentials else ""
        click.echo(f"{destination.label}{place} offers nothing to check a key with.")
        return None
    client = Client(
        destination.url,
        headers=destination.headers(),
        connect_timeout=setup.settings.connect_timeout,
        read_timeout=setup.settings.read_timeout,
        connections=1,
    )
    exchange = client.exchange(request)
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
