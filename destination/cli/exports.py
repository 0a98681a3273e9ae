"""An export says what was sent to us: message ids, a table with a column of them, or the calls."""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from destination.cli import call_files
from destination.cli.call_files import FileCall, Lines
from destination.errors import Problem
from destination.model.event import message_id


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One call that was sent to us."""

    message_id: str
    #: The call itself, where the export has it.
    file_call: FileCall | None


def read_export(path: str) -> Iterator[Sent]:
    """What an export says, as it is needed: a million lines take no more room than one.

    A file that begins as JSON holds calls, as `destination replay` reads them; any other holds
    message ids: one a line, or a table (CSV) with a column `messageId`. Raises Problem.
    """
    with call_files.opened(path) as lines:
        first = next(lines, None)
        if first is None:
            return
        lines = itertools.chain([first], lines)
        if first[1].lstrip().startswith(("{", "[")):
            for file_call in call_files.read(lines, path):
                yield Sent(
                    message_id=message_id(file_call.call, file_call.text), file_call=file_call
                )
        else:
            for found in _ids(first[1], lines, path):
                yield Sent(message_id=found, file_call=None)


def _ids(first: str, lines: Lines, path: str) -> Iterator[str]:
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    rows: Iterator[list[str]] = csv.reader((line for _, line in lines), delimiter=delimiter)
    header = next(rows)
    names = [cell.strip().lower().replace("_", "") for cell in header]
    if "messageid" in names:
        column = names.index("messageid")
    elif len(names) == 1:
        column, rows = 0, itertools.chain([header], rows)
    else:
        raise Problem(
            f"{path} has the columns {', '.join(header)}, and none is called messageId. Name the "
            "one that has the message ids so in its first line."
        )
    for row in rows:
        if len(row) > column and (found := row[column].strip()):
            yield found
