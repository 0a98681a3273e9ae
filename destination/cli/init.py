"""The command that writes what a user edits: the mapping files, and an example of the settings."""

import os
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from destination import partners
from destination.cli import shipped
from destination.errors import Problem
from destination.mapping import files
from destination.settings.parsers import DAY
from destination.settings.tables import Settings, Table, rows

_HEAD = """\
# The settings of the loyalty destination. Each line below shows a default: remove
# its # to set another value. What the environment says goes before this file.
"""

_NEXT = """
Change them as you like. Then:
{there}  destination lint             is all well with the mappings?
  destination demo             see it all work, with an engine to practise on
  destination serve --worker   take calls in, and deliver them"""


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write the mapping files that ship with the program, and an example .env.

    They go into FOLDER, which is made where it is missing, or into this folder. A file that is
    there already stays as it is, and is named.

    \b
    Examples:
      destination init
      destination init /etc/destination
    """
    presets, mappings = shipped.presets(), folder / "mappings"
    given = [presets / ".schema.json", *files.files(presets)]
    texts = {mappings / each.relative_to(presets): each.read_text("utf-8") for each in given}
    texts[folder / ".env"] = example()
    left = [path for path, text in texts.items() if not _write(path, text)]
    count = len(texts) - len(left)
    click.echo(f"Written: {count} of {len(texts)} files, in {mappings} and {folder / '.env'}.")
    if left:
        click.echo("Left as they are, since they were there before:")
        click.echo("\n".join(f"  {path}" for path in left))
    click.echo(_NEXT.format(there="" if folder == Path() else f"  cd {shlex.quote(str(folder))}\n"))


def example() -> str:
    """A `.env` in which every setting stands with its help and its default, none of them set."""
    tables: list[type[Table]] = [Settings, *partners.tables()]
    return "\n".join([_HEAD, *(line for table in tables for line in _section(table))])


def _section(table: type[Table]) -> Iterator[str]:
    yield f"# ---- {table.PREFIX}… ----"
    yield _comment(table.__doc__ or "")
    yield ""
    for name, row in rows(table):
        yield _comment(row.metadata["help"])
        yield f"#{name}={_written(row.default, row.metadata['read'])}"
        yield ""


def _comment(text: str) -> str:
    lines = textwrap.wrap(text, 78, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)


def _written(default: Any, read: Callable[[str], Any]) -> str:
    """A default as somebody would write it: as its own reader takes it."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ", ".join(default)
    if not isinstance(default, float):
        return str(default)
    try:
        read(f"{default:.10g}")
    except ValueError:  # an age, which has a unit
        return f"{default / DAY:g}d"
    return f"{default:.10g}"


def _write(path: Path, text: str) -> bool:
    """Write a file where there is none yet; whether it was written. Raises Problem."""
    if os.path.lexists(path):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Secrets will stand in .env: others on this machine may not read it.
        path.touch(mode=0o600 if path.name == ".env" else 0o666, exist_ok=False)
        path.write_text(text, "utf-8")
    except (FileExistsError, NotADirectoryError) as error:
        raise Problem(f"{path.parent} cannot be made: a file is in its way. Move it.") from error
    except OSError as error:
        raise Problem(f"{error.filename or path} cannot be written: {error.strerror}.") from error
    return True
