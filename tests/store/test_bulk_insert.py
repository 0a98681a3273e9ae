"""Inserting many rows at once, on each database."""

import math

import pytest
import sqlalchemy as sa

from destination.store import bulk_insert

KEPT = sa.Table(
    "kept",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text),
    sa.Column("number", sa.Double),
    sa.Column("count", sa.BigInteger),
    sa.Column("flag", sa.Boolean),
    sa.Column("key", sa.LargeBinary, unique=True),
)

#: Values that are easily changed on their way through another notation.
ROWS: list[dict[str, object]] = [
    {"text": None, "number": None, "count": None, "flag": None, "key": None},
    {"text": "", "number": 0.0, "count": 0, "flag": False, "key": b""},
    {"text": "a", "number": 0.1 + 0.2, "count": 2**53 + 1, "flag": True, "key": b"\x00\xff\\x41"},
    {"text": 'quo"ted \\ \\u0041', "number": 1e22, "count": -1, "flag": True, "key": b"a"},
    {"text": "ä 𝄞 \n\t\x7f", "number": math.pi, "count": 2**62, "flag": False, "key": b"b"},
    {"text": '{"text":"\\u0000"}', "number": 1e-7, "count": 1, "flag": False, "key": b"c"},
    {"text": "\\x41", "number": 1_800_000_000.123456, "count": 2, "flag": True, "key": b"d"},
]


@pytest.fixture
def kept(database):
    with database.writing() as connection:
        KEPT.create(connection)
    return database


def found(database):
    with database.reading() as connection:
        return [row._asdict() for row in connection.execute(sa.select(KEPT).order_by(KEPT.c.id))]


@pytest.mark.parametrize("count", [1, len(ROWS)])
def test_values_are_kept_as_they_are(kept, count):
    with kept.writing() as connection:
        kept.insert_rows(connection, KEPT.insert(), ROWS[-count:])

    assert found(kept) == [{"id": n, **row} for n, row in enumerate(ROWS[-count:], 1)]


def test_rows_are_inserted_in_their_order(kept):
    numbers = range(bulk_insert.PAGE * 3)
    insert = KEPT.insert().returning(KEPT.c.id, KEPT.c.count)
    with kept.writing() as connection:
        rows = kept.insert_rows(connection, insert, [{"count": number} for number in numbers])
        assert sorted((row.id, row.count) for row in rows) == [(n + 1, n) for n in numbers]


def test_what_is_here_already_is_not_returned(kept):
    insert = kept.insert(KEPT).on_conflict_do_nothing().returning(KEPT.c.key)
    with kept.writing() as connection:
        kept.insert_rows(connection, insert, [{"key": b"a"}])
        rows = kept.insert_rows(connection, insert, [{"key": b"a"}, {"key": b"b"}])
        assert [bytes(row.key) for row in rows] == [b"b"]


@pytest.mark.parametrize("count", [1, bulk_insert.PAGE * 3])
def test_what_the_database_finds_is_the_same_in_all_rows(kept, count):
    with kept.writing() as connection:
        kept.insert_rows(connection, KEPT.insert(), [{"text": "a"}] * count, number=kept.now)

    [number] = {row["number"] for row in found(kept)}
    assert number > 1_700_000_000
