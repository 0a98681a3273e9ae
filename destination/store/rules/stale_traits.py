"""Traits: an event that arrives late changes nothing that a newer one has set.

Segment promises no order. For each customer of a destination it is kept when each trait was set,
by the events' own timestamps. Of two events of the same time, the one that arrived later counts.
A trait that is null was set; one that is missing was not.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import cast

import sqlalchemy as sa

from destination.model.arrival import Arrival
from destination.model.delivery import Delivery, Discard
from destination.model.reason import DiscardReason
from destination.store import schema
from destination.store.database import Database, Insert
from destination.store.rules import Routed, RuleContext
from destination.support import json_codec
from destination.support.json_codec import Json

#: Seconds by which a sender's clock may be ahead. One that is further ahead is wrong, and must
#: not keep out what comes after it.
AHEAD = 600.0

#: The traits of one customer whose times are kept: those set longest ago are forgotten first.
MOST_TRAITS = 500

#: A longer name is kept as its digest.
LONGEST_NAME = 64

#: When a trait was set, in seconds since 1970 UTC, and by which event: of two at the same time the
#: later one has the greater number.
Moment = tuple[float, int]

#: (destination, customer)
Customer = tuple[str, str]

#: The times of a customer of whom nothing was set, as text.
_NO_TIMES = "{}"

#: When each trait of a customer was set.
Times = dict[str, Moment]


def moment(timestamp: float | None, received: float) -> float:
    """When an event counts as having happened: when it says; when it was received, where it
    does not say or its clock is wrong. Seconds since 1970 UTC.
    """
    return received if timestamp is None or timestamp > received + AHEAD else timestamp


def lock_profiles(
    database: Database, connection: sa.Connection, arrivals: Iterable[Arrival]
) -> dict[Customer, Times]:
    """Lock these customers' profiles until the commit, before events get ids: ids are a lane's
    order. Returns when each trait of the customers was set whose traits `arrivals` set.
    """
    customers = {
        (delivery.destination, delivery.customer)
        for arrival in arrivals
        for delivery in arrival.deliveries
        if delivery.traits
    }
    return _locked(database, connection, customers) if customers else {}


def without_stale(
    context: RuleContext, routed: Routed, *, trait_times: dict[Customer, Times]
) -> Routed:
    """A rule: deliveries go without the traits that something newer has set; one of which nothing
    is left becomes a discard. What they set is remembered, beside `trait_times`.
    """
    if not trait_times:
        return routed
    fresh = [
        (key, arrival.apply(_FreshOnly(trait_times, (moment(arrival.timestamp, context.now), key))))
        for key, arrival in routed
    ]
    written = [
        {"of_destination": destination, "of_customer": customer, "new_times": _times_text(times)}
        for (destination, customer), times in sorted(trait_times.items())
    ]
    # Do not keep empty profiles: a duplicate call must not recreate a forgotten customer.
    if kept := [row for row in written if row["new_times"] != _NO_TIMES]:
        context.connection.execute(_REMEMBER, kept)
    if empty := [row for row in written if row["new_times"] == _NO_TIMES]:
        context.connection.execute(_DELETE_EMPTY, empty)
    return fresh


class _FreshOnly:
    """Takes stale traits out of the deliveries of one event."""

    def __init__(self, times: Mapping[Customer, Times], at: Moment) -> None:
        self._times = times
        self._at = at

    def __call__(self, delivery: Delivery) -> Delivery | Discard:
        if not delivery.traits:
            return delivery
        times, at = self._times[delivery.destination, delivery.customer], self._at
        names = {_kept_name(place): place for place in delivery.traits}
        stale = [place for name, place in names.items() if times.get(name, at) > at]
        kept = names.keys() - map(_kept_name, stale)
        if delivery.code is None and delivery.code_field:
            kept.discard(delivery.code_field)  # null brings no code
        times.update(dict.fromkeys(kept, at))
        if not stale:
            return delivery
        if not kept:
            return delivery.discarded(
                DiscardReason.STALE, "Newer events have set all of its traits already."
            )
        return _without(delivery, stale)


def _without(delivery: Delivery, stale: Collection[str]) -> Delivery:
    """The same delivery without some places of its payload."""
    payload = json_codec.load_object(delivery.payload)
    for place in stale:
        field, dot, name = place.partition(".")
        if dot:
            cast(dict[str, Json], payload[field]).pop(name)
        if not dot or payload[field] == {}:
            del payload[field]
    code = None if delivery.code_field in stale else delivery.code
    return replace(delivery, payload=json_codec.dumps(payload), code=code)


def _locked(
    database: Database, connection: sa.Connection, customers: Collection[Customer]
) -> dict[Customer, Times]:
    """When customers' traits were set; their profiles are locked until the commit."""
    rows = database.insert_rows(
        connection,
        _insert_or_lock(database.insert),
        [
            # Fixed lock order: prevents deadlocks.
            {"destination": destination, "customer": customer, "times": _NO_TIMES}
            for destination, customer in sorted(customers)
        ],
    )
    return {(row.destination, row.customer): _read_times(row.times) for row in rows}


def _read_times(written: str) -> Times:
    """`{"metadata.tier": [1773480000.0, 17]}`; older programs wrote the time alone."""
    return {
        name: (set_at[0], set_at[1]) if isinstance(set_at, list) else (set_at, 0)
        for name, set_at in json.loads(written).items()
    }


@cache
def _insert_or_lock(insert: Insert) -> sa.Insert:
    """Inserts and returns profiles; one that is there is written as it is, which locks it."""
    made = insert(schema.profile)
    locked = made.on_conflict_do_update(
        index_elements=["destination", "customer"], set_={"times": schema.profile.c.times}
    )
    return locked.returning(schema.profile)


def _times_text(times: Times) -> str:
    if len(times) > MOST_TRAITS:
        newest = sorted(times, key=times.__getitem__, reverse=True)[:MOST_TRAITS]
        times = {name: times[name] for name in newest}
    return json.dumps(times, separators=(",", ":"))


def _kept_name(place: str) -> str:
    if len(place) <= LONGEST_NAME:
        return place
    return hashlib.sha256(place.encode(errors="surrogatepass")).hexdigest()


_by_customer = (
    schema.profile.c.destination == sa.bindparam("of_destination"),
    schema.profile.c.customer == sa.bindparam("of_customer"),
)
_REMEMBER = sa.update(schema.profile).where(*_by_customer).values(times=sa.bindparam("new_times"))
_DELETE_EMPTY = sa.delete(schema.profile).where(
    *_by_customer, schema.profile.c.times == sa.bindparam("new_times")
)
