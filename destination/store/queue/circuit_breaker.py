"""Holds: a destination is paused, and everything for it waits and loses nothing.

Three things put a destination on hold: it refuses our credentials, its breaker opened because it is
down, or a person paused it. The first two end by themselves: one delivery at a time is a probe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from destination.model.lease import Acknowledgement
from destination.model.reason import HoldReason
from destination.model.verdict import Health, Verdict, engine_health
from destination.store import schema
from destination.store.database import Database
from destination.store.queue.rate_limit import DestinationState, Terms

_BY_NAME = schema.hold.c.destination == sa.bindparam("name")
_END = sa.delete(schema.hold).where(_BY_NAME)
_END_PROBED = _END.where(schema.hold.c.probe_at.is_not(None))
_PROBE_LATER = (
    sa.update(schema.hold)
    .where(_BY_NAME, schema.hold.c.probe_at.is_not(None))
    .values(
        probe_at=sa.case(
            (
                schema.hold.c.reason == HoldReason.BREAKER.value,
                sa.bindparam("breaker", type_=sa.Double),
            ),
            else_=sa.bindparam("other", type_=sa.Double),
        )
    )
)
_OF_DESTINATION = sa.update(schema.pace).where(schema.pace.c.destination == sa.bindparam("name"))
_SET_FAILURES = _OF_DESTINATION.values(failures=sa.bindparam("count"))
_ADD_FAILURES = _OF_DESTINATION.values(
    failures=schema.pace.c.failures + sa.bindparam("count")
).returning(schema.pace.c.failures)


def hold(database: Database, destination: str) -> None:
    """Pause a destination until `resume`; what is under way is finished. Raises as `resume`."""
    with database.writing() as connection:
        now = database.read_clock(connection)
        _pause(database, connection, destination, HoldReason.BY_HAND, now, None)


def resume(database: Database, destination: str) -> bool:
    """End a hold, whatever made it. Returns whether there was one. Raises StoreUnavailable."""
    with database.writing() as connection:
        connection.execute(_SET_FAILURES, {"name": destination, "count": 0})
        return bool(connection.execute(_END, {"name": destination}).rowcount)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Which destinations were put on hold, each with the reason, and which were released."""

    held: dict[str, str] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)


def tells_of_hold(ack: Acknowledgement, state: DestinationState) -> bool:
    """Whether it may put its destination on hold, or release it, or count as a failure of it."""
    if ack.verdict is Verdict.HOLD or engine_health(ack.exchange) is Health.DOWN:
        return True
    return state.held or state.failures > 0


def update_holds(
    database: Database,
    connection: sa.Connection,
    acks: Sequence[Acknowledgement],
    states: Mapping[str, DestinationState],
    terms: Terms,
    now: float,
) -> Changes:
    """Hold and release destinations by what acknowledgements, in their order, tell of them.

    `states` are these destinations' states before them.
    """
    by_name: dict[str, list[Acknowledgement]] = {}
    for ack in acks:
        by_name.setdefault(ack.lease.destination, []).append(ack)
    changes = Changes()
    for name, own in sorted(by_name.items()):
        state = states[name]
        failures = _count_failures(connection, name, own, state)
        reason, wait = _credentials_refused(own), terms.hold_probe
        if not (reason or state.held) and failures >= terms.breaker_failures > 0:
            reason, wait = HoldReason.BREAKER, terms.breaker_probe
        if reason:
            _pause(database, connection, name, reason, now, now + wait)
            if not state.held:
                changes.held[name] = reason
        elif probes := [ack for ack in own if ack.lease.probe]:
            if any(engine_health(probe.exchange) is Health.UP for probe in probes):
                connection.execute(_END_PROBED, {"name": name})
                changes.released.append(name)
            else:
                later = {"breaker": now + terms.breaker_probe, "other": now + terms.hold_probe}
                connection.execute(_PROBE_LATER, {"name": name, **later})
    return changes


def _credentials_refused(acks: Sequence[Acknowledgement]) -> str | None:
    """The reason, `http_401` or `http_403`, where a destination refused our credentials."""
    return next((ack.reason for ack in acks if ack.verdict is Verdict.HOLD), None)


def _count_failures(
    connection: sa.Connection, name: str, acks: Sequence[Acknowledgement], state: DestinationState
) -> int:
    """Count failures in a row of the destination as a whole. Returns how many there are now."""
    in_a_row, worked = 0, False
    for ack in acks:
        match engine_health(ack.exchange):
            case Health.DOWN:
                in_a_row += 1
            case Health.UP:
                in_a_row, worked = 0, True
    if not worked and in_a_row:  # other workers add theirs at the same time
        added = connection.execute(_ADD_FAILURES, {"name": name, "count": in_a_row})
        return int(added.scalar_one())
    if worked and in_a_row != state.failures:
        connection.execute(_SET_FAILURES, {"name": name, "count": in_a_row})
        return in_a_row
    return state.failures


def _pause(
    database: Database,
    connection: sa.Connection,
    destination: str,
    reason: str,
    now: float,
    probe_at: float | None,
) -> None:
    """Put a destination on hold. A hold by hand stays as it is; another keeps its `since`."""
    values = {"destination": destination, "reason": reason, "since": now, "probe_at": probe_at}
    insert = database.insert(schema.hold).values(values)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["destination"],
            set_={"reason": insert.excluded.reason, "probe_at": insert.excluded.probe_at},
            where=schema.hold.c.probe_at.is_not(None),
        )
    )
