"""How lists are printed: a table for people, a JSON line a row for scripts."""

import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import UTC, datetime

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from destination.support import json_codec
from destination.support.text import printable

#: Rows that a table shows unless more are asked for.
DEFAULT_LIMIT = 50

#: A terminal as wide as this shows every column; a narrower one those of NARROW alone.
WIDE = 150
NARROW = {
    *("id", "message_id", "mapping", "lane", "status", "attempts", "reason", "since", "created_at"),
    *("type", "name", "outcome", "received_at", "detail"),
}

#: Columns that are cut, with an ellipsis, where there is too little room.
ELASTIC = {"message_id", "mapping", "lane", "name", "detail"}

#: Columns that are left out, in this order, where that is still too little.
SPARED = ("created_at", "received_at", "attempts", "message_id", "type", "lane")

#: How a status or an outcome looks on a terminal.
COLOURS = {
    "accepted": "green",
    "delivered": "green",
    "pending": "cyan",
    "sending": "cyan",
    "duplicate": "dim",
    "removed": "dim",
    "discarded": "yellow",
    "uncertain": "magenta",
    "failed": "red",
    "refused": "red",
}


def console(width: int = 240) -> Console:
    """Standard output; in a pipe it has no colours, and lines of this many columns."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=width)


def show(
    rows: Iterable[Mapping[str, object]], columns: Mapping[str, str], *, as_json: bool
) -> None:
    """Print rows as they are needed: `columns` maps a row's key to its JSON name, which is
    also the table's heading.
    """
    if as_json:
        for row in rows:
            click.echo(
                json_codec.dumps({name: _plain(key, row[key]) for key, name in columns.items()})
            )
        return
    listed = [{key: _cell(key, row[key]) for key in columns} for row in rows]
    if not listed:
        click.echo("There are none.", err=True)
        return
    screen = console()
    shown = {key: name for key, name in columns.items() if screen.width >= WIDE or key in NARROW}
    widths = _fit(listed, shown, screen.width)
    table = new_table(shown[key] for key in widths)
    for column, width in zip(table.columns, widths.values(), strict=True):
        column.width, column.no_wrap, column.overflow = width, True, "ellipsis"
    for row in listed:
        table.add_row(*(row[key] for key in widths))
    screen.print(table)


def _fit(
    rows: Sequence[Mapping[str, Text]], columns: Mapping[str, str], room: int
) -> dict[str, int]:
    """The columns that fit, with their widths: long names and details give way, then whole
    columns; the rest is never cut.
    """
    widths = {
        key: max(cell_len(name), *(row[key].cell_len for row in rows))
        for key, name in columns.items()
    }
    least = {key: min(width, 8) if key in ELASTIC else width for key, width in widths.items()}
    widths = {key: widths[key] for key in spared(least, SPARED, room)}
    over = _room(widths) - room
    for key in sorted(ELASTIC & widths.keys(), key=lambda key: -widths[key]):
        cut = max(0, min(over, widths[key] - 8))
        widths[key] -= cut
        over -= cut
    return widths


def spared(widths: Mapping[str, int], order: Iterable[str], room: int) -> dict[str, int]:
    """The columns that remain where, in this order, columns are left out until the rest fits."""
    remaining = dict(widths)
    for key in order:
        if key in remaining and _room(remaining) > room:
            del remaining[key]
    return remaining


def _room(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + between(widths)


def between(columns: Sized) -> int:
    """How much of a line stands between the columns of a table, and at its ends."""
    return 3 * len(columns) - 1


def new_table(headings: Iterable[str]) -> Table:
    """A table as all of ours look."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def coloured(word: str) -> Text:
    """A status or an outcome, in its colour; of other words, what a terminal may show."""
    return Text(printable(word), style=COLOURS.get(word, ""))


def panel(title: str, lines: Sequence[str]) -> None:
    """A titled block, such as "You sent". A stranger may have written what stands in it: a
    character that a terminal would obey is shown as its number.
    """
    click.echo(click.style(f"── {title} ", bold=True) + "─" * max(4, 68 - len(title)))
    for line in lines:
        click.echo(printable(line))
    click.echo()


def age(seconds: float) -> str:
    """A time in words, by its two largest units: `3d 4h`, `12m 5s`, `0s`."""
    left, words = max(0, int(seconds)), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count}{unit}")
    return " ".join(words[:2]) or "0s"


def _plain(key: str, value: object) -> object:
    if isinstance(value, float | int) and key == "since":
        return int(time.time() - value)
    if isinstance(value, float | int) and key.endswith("_at"):
        return json_codec.moment(value)
    return value


def _cell(key: str, value: object) -> Text:
    if isinstance(value, float | int) and key.endswith("_at"):
        return Text(datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, float | int) and key == "since":
        return Text(age(time.time() - value))
    return coloured("" if value is None else str(value))
