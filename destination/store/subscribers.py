"""Subscribers' accounts: who subscribed to what; and what became of each notification.

A *subscriber* is who is told of events; its *account* is the row in which its address, its events
and its secret stand; an account is called a *webHook* in the API, which is Capillary's.
"""

import uuid
from collections.abc import Mapping
from typing import cast

import sqlalchemy as sa

from destination.partners.webhook.destination import Account, endpoint
from destination.partners.webhook.signing import new_secret
from destination.store import schema
from destination.store.database import Database
from destination.store.queries.rows import AccountRow, LogRow
from destination.support import json_codec

#: Seconds for which a secret that was replaced still signs.
OVERLAP = 24 * 3600.0

#: Log rows of one request or reference that are given at most.
MOST_ROWS = 1000

_account = schema.account


class NameTaken(Exception):
    """Another account has the name."""


def listed(database: Database) -> list[AccountRow]:
    """Every account, active or not, in the order in which they were made."""
    with database.reading() as connection:
        found = connection.execute(sa.select(_account).order_by(_account.c.created_at))
        return [_account_row(row) for row in found]


def find(database: Database, account_id: str) -> AccountRow | None:
    """One account; its event names are a list, and its headers an object."""
    with database.reading() as connection:
        found = connection.execute(sa.select(_account).where(_account.c.id == account_id)).first()
    return None if found is None else _account_row(found)


def active(database: Database) -> list[Account]:
    """The active accounts, in the order in which they were made."""
    return [
        Account(
            id=row["id"],
            name=row["name"],
            event_names=tuple(row["event_names"]),
            url=row["url"],
            method=row["method"],
            headers=tuple(row["headers"].items()),
            connections=row["connections"],
            secret=row["secret"],
            old_secret=row["old_secret"],
            old_secret_until=row["old_secret_until"],
        )
        for row in listed(database)
        if row["active"]
    ]


def add(database: Database, values: Mapping[str, object], by: str) -> AccountRow:
    """A new account. Raises NameTaken, StoreUnavailable."""
    new = {
        **_columns(values),
        "id": uuid.uuid4().hex[:24],
        "consumer_group": str(uuid.uuid4()),
        "secret": new_secret(),
        "created_at": database.now,
        "created_by": by,
        "updated_at": database.now,
        "updated_by": by,
    }
    return _write(database, sa.insert(_account).values(new))


def change(
    database: Database, account_id: str, values: Mapping[str, object], by: str
) -> AccountRow:
    """The account with these values in place of its own. Raises as `add`."""
    new = {**_columns(values), "updated_at": database.now, "updated_by": by}
    return _write(database, sa.update(_account).where(_account.c.id == account_id).values(new))


def rotate(database: Database, account_id: str, by: str) -> AccountRow:
    """The account with a new secret; the one before it signs too, for a day."""
    new = {
        "secret": new_secret(),
        "old_secret": _account.c.secret,
        "old_secret_until": database.now + OVERLAP,
    }
    return change(database, account_id, new, by)


def log_of(database: Database, event_id: str) -> LogRow | None:
    """What became of the notification with this eventId."""
    return next(iter(_log(database, schema.notice.c.id == event_id)), None)


def log_of_request(database: Database, request_id: str) -> list[LogRow]:
    """What became of the notifications that a call caused."""
    return _log(database, schema.notice.c.request_id == request_id)


def log_of_reference(database: Database, ref_id: str) -> list[LogRow]:
    """What became of the notifications about something."""
    return _log(database, schema.notice.c.ref_id == ref_id)


def _log(database: Database, condition: sa.ColumnElement[bool]) -> list[LogRow]:
    """Each with the begin of its first attempt, the answer to its last, and when it ended."""
    notice, event, delivery = schema.notice, schema.event, schema.delivery
    first, last = schema.attempt.alias("first"), schema.attempt.alias("last")
    query = (
        sa.select(
            notice,
            event.c.received_at,
            delivery.c.settled_at,
            first.c.started_at.label("first_started_at"),
            last.c.started_at,
            last.c.ended_at,
            last.c.status.label("http_status"),
            _account.c.consumer_group,
            _account.c.sla,
            database.now.label("now"),
        )
        .select_from(notice)
        .join(event, event.c.id == notice.c.event_id)
        .join(
            delivery,
            (delivery.c.event_id == notice.c.event_id)
            & (delivery.c.destination == notice.c.destination)
            & (delivery.c.mapping == notice.c.mapping),
        )
        .join(_account, sa.literal(endpoint("")) + _account.c.id == notice.c.destination)
        .outerjoin(first, (first.c.delivery_id == delivery.c.id) & (first.c.number == 1))
        .outerjoin(
            last,
            (last.c.delivery_id == delivery.c.id) & (last.c.number == delivery.c.attempts),
        )
        .where(condition)
        .order_by(delivery.c.id)
        .limit(MOST_ROWS)
    )
    with database.reading() as connection:
        return [cast(LogRow, dict(row._mapping)) for row in connection.execute(query)]


def _write(database: Database, statement: sa.Insert | sa.Update) -> AccountRow:
    try:
        with database.writing() as connection:
            row = connection.execute(statement.returning(_account)).one()
            if database.wake:
                # As bulk does: it is not urgent.
                connection.execute(sa.select(database.wake(sa.true())))
    except sa.exc.IntegrityError as error:
        raise NameTaken from error
    return _account_row(row)


def _columns(values: Mapping[str, object]) -> dict[str, object]:
    texts = {"event_names", "headers"}
    return {
        name: json_codec.dumps(value) if name in texts else value for name, value in values.items()
    }


def _account_row(row: schema.Row) -> AccountRow:
    found = dict(row._mapping)
    for name in ("event_names", "headers"):
        found[name] = json_codec.loads(found[name])
    return cast(AccountRow, found)
