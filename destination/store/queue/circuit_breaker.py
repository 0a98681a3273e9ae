"""Holds: a destination is paused, and everything for it waits and loses nothing.

Three things hold a destination: credentials that it refuses, a breaker that opened because it is
down, somebody's hand. The first two are probed with one delivery at a time, and end by themselves.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from destination.model.lease import Settlement
from destination.model.verdict import Verdict, engine_failed
from destination.store import schema
from destination.store.database import Database
from destination.store.queue.rate_limit import BREAKER, BY_HAND, Pace, Terms

_THIS = schema.hold.c.destination == sa.bindparam("name")
_END = sa.delete(schema.hold).where(_THIS)
_END_PROBED = _END.where(schema.hold.c.probe_at.is_not(None))
_PROBE_LATER = (
    sa.update(schema.hold)
    .where(_THIS, schema.hold.c.probe_at.is_not(None))
    .values(
        probe_at=sa.case(
            (schema.hold.c.reason == BREAKER, sa.bindparam("breaker", type_=sa.Double)),
            else_=sa.bindparam("other", type_=sa.Double),
        )
    )
)
_ITS_PACE = sa.update(schema.pace).where(schema.pace.c.destination == sa.bindparam("name"))
_SET_FAILURES = _ITS_PACE.values(failures=sa.bindparam("count"))
_ADD_FAILURES = _ITS_PACE.values(failures=schema.pace.c.failures + sa.bindparam("count")).returning(
    schema.pace.c.failures
)


def hold(database: Database, destination: str) -> None:
    """Pause a destination until `resume`; what is under way is finished. Raises as `resume`."""
    with database.writing() as connection:
        now = database.read_clock(connection)
        _pause(database, connection, destination, BY_HAND, now, None)


def resume(database: Database, destination: str) -> bool:
    """End a hold, whatever made it; whether there was one. Raises StoreUnavailable."""
    with database.writing() as connection:
        connection.execute(_SET_FAILURES, {"name": destination, "count": 0})
        return bool(connection.execute(_END, {"name": destination}).rowcount)


def is_news(settlement: Settlement, pace: Pace) -> bool:
    """Whether it may tell more of its destination than that all goes on being well."""
    failed = engine_failed(settlement.exchange) or settlement.verdict is Verdict.HOLD
    return failed or pace.held or pace.failures > 0


def learn(
    database: Database,
    connection: sa.Connection,
    settlements: Sequence[Settlement],
    known: Mapping[str, Pace],
    terms: Terms,
    now: float,
) -> dict[str, str | None]:
    """Hold and release destinations by what settlements, in their order, tell of them; `known` is
    where each of these destinations stood before.

    Returns what changed: the reason of a new hold, or None for a destination that is well again.
    """
    by_name: dict[str, list[Settlement]] = {}
    for settlement in settlements:
        by_name.setdefault(settlement.claim.destination, []).append(settlement)
    changes: dict[str, str | None] = {}
    for name, own in sorted(by_name.items()):
        failures = _count_failures(connection, name, own, known[name])
        reason, wait = _objection(own), terms.hold_probe
        if not (reason or known[name].held) and failures >= terms.breaker_failures > 0:
            reason, wait = BREAKER, terms.breaker_probe
        if reason:
            _pause(database, connection, name, reason, now, now + wait)
            changes |= {} if known[name].held else {name: reason}
        elif probes := [one for one in own if one.claim.probe]:
            if any(engine_failed(probe.exchange) is False for probe in probes):
                connection.execute(_END_PROBED, {"name": name})
                changes[name] = None
            else:
                later = {"breaker": now + terms.breaker_probe, "other": now + terms.hold_probe}
                connection.execute(_PROBE_LATER, {"name": name, **later})
    return changes


def _objection(settlements: Sequence[Settlement]) -> str | None:
    """The reason for which a destination refuses everything, where it did."""
    return next((s.reason for s in settlements if s.verdict is Verdict.HOLD), None)


def _count_failures(
    connection: sa.Connection, name: str, settlements: Sequence[Settlement], pace: Pace
) -> int:
    """How often in a row the destination has failed as a whole, by now."""
    in_a_row, worked = 0, False
    for settlement in settlements:
        failed = engine_failed(settlement.exchange)
        if failed is not None:
            in_a_row, worked = (in_a_row + 1, worked) if failed else (0, True)
    if not worked and in_a_row:  # other workers add theirs at the same time
        added = connection.execute(_ADD_FAILURES, {"name": name, "count": in_a_row})
        return int(added.scalar_one())
    if worked and in_a_row != pace.failures:
        connection.execute(_SET_FAILURES, {"name": name, "count": in_a_row})
        return in_a_row
    return pace.failures


def _pause(
    database: Database,
    connection: sa.Connection,
    destination: str,
    reason: str,
    now: float,
    probe_at: float | None,
) -> None:
    """Hold it; one that is held by hand stays so, and one that is held already keeps its time."""
    values = {"destination": destination, "reason": reason, "since": now, "probe_at": probe_at}
    insert = database.insert(schema.hold).values(values)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["destination"],
            set_={"reason": insert.excluded.reason, "probe_at": insert.excluded.probe_at},
            where=schema.hold.c.probe_at.is_not(None),
        )
    )
