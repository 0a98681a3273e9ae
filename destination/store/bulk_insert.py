"""Inserting many rows in one call, in the way that is cheapest for each database."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from destination.store import schema

#: Rows of one statement in `insert_values`, at most: each number of rows is a statement of its own,
#: which drivers keep.
PAGE = 50

#: A row to insert: its columns' names and values.
NewRow = Mapping[str, object]


class InsertRows(Protocol):
    """Runs an INSERT for rows, at least one, which all have the same columns; in their order."""

    def __call__(
        self,
        connection: sa.Connection,
        insert: sa.Insert,
        rows: Sequence[NewRow],
        **same: sa.ColumnElement[float],
    ) -> schema.Rows:
        """`same`: columns set by an SQL expression that has one value for all rows."""


def insert_values(
    connection: sa.Connection,
    insert: sa.Insert,
    rows: Sequence[NewRow],
    **same: sa.ColumnElement[float],
) -> schema.Rows:
    """With a parameter for each value. SQLite, which runs in our own process, has no better way."""
    if len(rows) > PAGE and same:  # each page is a statement, and would get another value
        found = connection.execute(sa.select(*same.values())).one()
        rows = [{**row, **dict(zip(same, found, strict=True))} for row in rows]
        same = {}
    return connection.execute(_with(insert, **same) if same else insert, rows)


@functools.cache
def _with(insert: sa.Insert, **same: sa.ColumnElement[float]) -> sa.Insert:
    return insert.values(same)


def insert_json(
    connection: sa.Connection,
    insert: sa.Insert,
    rows: Sequence[NewRow],
    **same: sa.ColumnElement[float],
) -> schema.Rows:
    """With all rows as one JSON parameter: to PostgreSQL that is one statement however many they
    are, which it plans once, and takes half the processor time of a parameter for each value.
    """
    written = json.dumps(rows, ensure_ascii=False, default=_bytea)
    return connection.execute(_of_json(insert, *rows[0], **same), {"rows": written})


@functools.cache
def _of_json(insert: sa.Insert, *names: str, **same: sa.ColumnElement[float]) -> sa.Insert:
    """The same INSERT, of the rows that are read from a JSON parameter."""
    columns = [sa.column(name, insert.table.c[name].type) for name in names]
    written = sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON)
    rows = sa.func.json_to_recordset(written).table_valued(*columns, name="new")
    row = rows.render_derived(with_types=True)
    return insert.from_select([*names, *same], sa.select(*row.c, *same.values()))


def _bytea(value: bytes) -> str:
    """How PostgreSQL reads bytes from a text."""
    return rf"\x{value.hex()}"
