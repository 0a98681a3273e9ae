"""How lists are printed: a table for people, a JSON line a row for scripts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from destination import jsontext

#: Rows that a table shows unless more are asked for.
DEFAULT_LIMIT = 50

#: How a status or an outcome looks on a terminal.
COLOURS = {
    "accepted": "green",
    "delivered": "green",
    "pending": "cyan",
    "sending": "cyan",
    "duplicate": "dim",
    "discarded": "yellow",
    "uncertain": "magenta",
    "failed": "red",
    "refused": "red",
}


def console(width: int = 240) -> Console:
    """Standard output; in a pipe it has no colours, and lines of this many columns."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=width)


def show(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Print rows as they are needed: `columns` maps a row's key to its JSON name, which is
    also the table's heading.
    """
    if as_json:
        for row in rows:
            click.echo(
                jsontext.dumps({name: _plain(key, row[key]) for key, name in columns.items()})
            )
        return
    listed = list(rows)
    table = new_table(columns.values())
    for row in listed:
        table.add_row(*(_cell(key, row[key]) for key in columns))
    if listed:
        console().print(table)
    else:
        click.echo("There are none.", err=True)


def new_table(headings: Iterable[str]) -> Table:
    """A table as all of ours look."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def coloured(word: str) -> Text:
    """A status or an outcome, in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def panel(title: str, lines: Sequence[str]) -> None:
    """A titled block: the three of them tell what became of a delivery."""
    click.echo(click.style(f"── {title} ", bold=True) + "─" * max(4, 68 - len(title)))
    for line in lines:
        click.echo(line)
    click.echo()


def _plain(key: str, value: Any) -> Any:
    return jsontext.moment(value) if key.endswith("_at") and value is not None else value


def _cell(key: str, value: Any) -> Text:
    if key.endswith("_at") and value is not None:
        return Text(datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S"))
    return coloured("" if value is None else str(value))
