"""The commands for mapping files: list and show them, import Segment's, switch them on and off."""

import shutil
from collections import Counter
from collections.abc import Mapping as Map
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

import click
import requests
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from destination.app import Setup
from destination.cli import drafts, tables
from destination.cli.drafts import Draft
from destination.cli.new_mapping import new
from destination.errors import Problem
from destination.mapping.documents import Finding
from destination.mapping.files import Mapping
from destination.mapping.subscriptions import read_subscriptions
from destination.mapping.yaml_writer import as_yaml, switched
from destination.support import json_codec
from destination.support.json_codec import Json
from destination.support.text import did_you_mean, listed

MAPPINGS = {
    "name": "name",
    "direction": "direction",
    "action": "action",
    "trigger": "trigger",
    "enabled": "enabled",
    "file": "file",
}

#: Columns in which a trigger is still read with ease.
_LEAST_OF_TRIGGER = 18


@click.group()
def mappings() -> None:
    """List and show mapping files, make new ones, import Segment's, switch them on and off."""


mappings.add_command(new)


@mappings.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a mapping, for scripts.")
def list_all(as_json: bool) -> None:
    """List the mappings, in the order in which they send."""
    setup = Setup.read()
    found, faults = setup.read_mappings(setup.settings.mappings)
    if as_json or not found:
        tables.show(map(_row, found), MAPPINGS, as_json=as_json)
    else:
        tables.console().print(_table(found))
    for name in sorted({each.destination for each in found}):
        if not (destination := setup.destinations[name]).in_use:
            keys = listed(destination.credentials)
            click.echo(f"Those to {name} are off until {keys} is set.", err=True)
    if faults:
        click.echo("Files with faults are not listed: destination lint shows them.", err=True)


@mappings.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one mapping: when it fires, and what it sends in each field.

    NAME is the mapping's name, or its file.

    \b
    Example:
      destination mappings show "Track Event"
    """
    setup = Setup.read()
    mapping = _find_mapping(setup, name)
    content = _content(mapping)
    action = setup.destinations[mapping.destination].actions[mapping.action]
    rows = [
        ("file", str(mapping.path)),
        ("direction", f"{mapping.source} → {mapping.destination}"),
        ("action", f"{action.name}: {action.description}"),
        ("trigger", mapping.trigger),
        ("enabled", "yes" if mapping.enabled else "no"),
        ("description", content.get("description", "")),
    ]
    lines = [line for key, value in rows if value for line in f"{key:12}{value}".splitlines()]
    tables.panel(mapping.name, lines)
    table = tables.new_table(("field", "label", "required", "what is sent"))
    sent = cast(dict[str, object], content["fields"])
    for field, declared in action.fields.fields.items():
        table.add_row(
            field,
            declared.metadata["label"],
            "yes" if declared.required else "no",
            Text(as_yaml(sent[field]).rstrip() if field in sent else "nothing"),
        )
    tables.console().print(table)


@mappings.command()
@click.option("--url", help="The receiver. [default: the one that the settings name]")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def status(url: str | None, as_json: bool) -> None:
    """Ask a running receiver which mapping files are in force, and which are wrong.

    Exits 1 while changed files are not taken up.
    """
    settings = Setup.read().settings
    url = f"{url or f'http://{settings.host}:{settings.port}'}/readyz"
    try:
        answer = requests.get(url, timeout=10).json()
        if "mappings" not in answer:
            raise Problem(f"{url} says: {answer['message']}")
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise Problem(f"{url} does not tell. Is the receiver up?") from error
    found = answer["mappings"]
    rejected = found["rejected"]
    if as_json:
        click.echo(json_codec.dumps(found))
    else:
        click.echo(
            f"In force since {found['since']} ({found['digest']}): {listed(found['names'])}."
        )
        if rejected:
            click.echo(f"Changed, and not taken up since {rejected['since']}:")
            click.echo("\n".join(rejected["faults"]))
    if rejected:
        raise click.exceptions.Exit(1)


@mappings.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--direction", help="The folder to write to: segment-to-rehook.")
@click.option("--dry-run", is_flag=True, help="Write nothing; print the files.")
def import_file(file: TextIO, direction: str | None, dry_run: bool) -> None:
    """Write files of mappings that were copied as JSON out of Segment.

    It takes one mapping or a list of them, writes all of them or none, and never over a file.
    `-` reads what you paste.

    \b
    Examples:
      destination mappings import from-segment.json --dry-run
      destination mappings import -
    """
    setup = Setup.read()
    if direction is not None and direction not in drafts.directions(setup):
        hint = did_you_mean(direction, drafts.directions(setup))
        raise click.UsageError(f"There is no direction {direction}. {hint}")
    contents = read_subscriptions(_json(file))
    made = [
        drafts.draft(setup, direction or _direction(setup, content), content)
        for content in contents
    ]
    twice = [str(path) for path, count in Counter(each.path for each in made).items() if count > 1]
    if twice:
        raise Problem(f"Two of them would be {listed(twice)}. Give each a name of its own.")
    if dry_run:
        for each in made:
            click.echo(f"# {each.path}\n{each.text}")
    found = drafts.findings(setup, made)
    if found:
        lines = "\n".join(_complaint(each, made) for each in found)
        raise Problem(f"Nothing is written. Change this first:\n{lines}")
    if not dry_run:
        drafts.write(made)
        for each in made:
            click.echo(each.path)


@mappings.command()
@click.argument("name")
def enable(name: str) -> None:
    """Switch a mapping on. Nothing else in its file changes."""
    _switch(name, enabled=True)


@mappings.command()
@click.argument("name")
def disable(name: str) -> None:
    """Switch a mapping off. Nothing else in its file changes, and nothing that waits."""
    _switch(name, enabled=False)


def _switch(name: str, *, enabled: bool) -> None:
    mapping = _find_mapping(Setup.read(), name)
    word = "on" if enabled else "off"
    if mapping.enabled == enabled:
        click.echo(f"{mapping.name} is {word} already: {mapping.path}")
        return
    with mapping.path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        changed = switched(text, enabled=enabled)
    except Problem as problem:
        raise Problem(f"{mapping.path}: {problem}") from problem
    _replace(mapping.path, changed)
    click.echo(f"{mapping.name} is {word}: {mapping.path}")


def _replace(path: Path, text: str) -> None:
    """Change a file in one step, so that a service that reads it now sees no half of it."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(text.encode())
        shutil.copymode(path, beside)
        beside.replace(path)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}.") from error


def _row(mapping: Mapping) -> dict[str, object]:
    return {
        "name": mapping.name,
        "direction": mapping.path.parent.name,
        "action": mapping.action,
        "trigger": mapping.trigger,
        "enabled": mapping.enabled,
        "file": str(mapping.path),
    }


def _table(found: Sequence[Mapping]) -> Table:
    """The rows for a person: the folder of a file is its direction, which stands beside it.
    Where there is too little room, the file and the action are left out; the trigger is folded.
    """
    rows = [
        {key: str(value) for key, value in _row(each).items()}
        | {"enabled": "yes" if each.enabled else "no", "file": each.path.name}
        for each in found
    ]
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in MAPPINGS}
    widths["trigger"] = _LEAST_OF_TRIGGER
    shown = tables.spared(widths, ("file", "action"), tables.console().width)
    table = tables.new_table(shown)
    for column in table.columns:
        column.no_wrap = column.header != "trigger"
    for row in rows:
        table.add_row(*(Text(row[key]) for key in shown))
    return table


def _content(mapping: Mapping) -> dict[str, object]:
    """What a mapping's file says, as it is written."""
    content: dict[str, object] = YAML(typ="safe", pure=True).load(mapping.path)
    return content


def _find_mapping(setup: Setup, name: str) -> Mapping:
    """The mapping of a name, or of a file's path. Raises Problem where it is none, or several."""
    found = drafts.mappings(setup)
    chosen = [each for each in found if name in (each.name, str(each.path))]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        paths = listed((str(each.path) for each in chosen), "or")
        raise Problem(f"Several mappings are called {name}. Name the file: {paths}.")
    hint = did_you_mean(name, (each.name for each in found)) if found else "There is none yet."
    raise Problem(f"No mapping that passes lint is called {name}. {hint}")


def _json(file: TextIO) -> Json:
    try:
        return json_codec.loads(file.read())
    except ValueError as error:
        raise Problem(f"{file.name} is not JSON: {error}. Copy the whole mapping.") from error


def _direction(setup: Setup, content: Map[str, object]) -> str:
    """The way whose destination has the action; where none has, lint says which there are."""
    known = [each for each in drafts.directions(setup) if each.startswith("segment-to-")]
    having = [
        each for each in known if content["action"] in setup.actions[each.partition("-to-")[2]]
    ]
    usual = [each for each in known if each in drafts.directions_in_use(setup)]
    candidates = having or usual
    if len(candidates) > 1:
        raise Problem(f"Say where it leads: --direction {listed(candidates, 'or')}.")
    return candidates[0]


def _complaint(finding: Finding, made: Sequence[Draft]) -> str:
    """A finding with the line that it is about, since the file is not there to look into."""
    texts = [each.text for each in made if each.path == finding.path]
    line = texts[0].splitlines()[finding.line - 1].strip() if texts else ""
    return f"{finding}\n  {line}" if line else str(finding)
