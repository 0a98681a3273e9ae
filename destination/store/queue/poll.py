"""Polling: in one transaction a worker acknowledges what it has sent and leases what comes next.

A lease writes down its attempt before the request leaves. An acknowledgement names its lease: one
that comes after the lease has ended changes nothing.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from destination.model.lease import Acknowledgement, Lease
from destination.store.database import Database, tried_again
from destination.store.queue import rate_limit
from destination.store.queue.acknowledge import acknowledge
from destination.store.queue.circuit_breaker import Changes, tells_of_hold, update_holds
from destination.store.queue.lease import lease_ready
from destination.store.queue.rate_limit import Capacity, Terms

#: Seconds until the next poll of a destination of which something was leased, or could not be
#: leased just now.
_SHORTLY = 0.01

#: The same, where it may be the requests of other workers that it waits for.
_SOON = 0.25


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What a poll brought."""

    leases: list[Lease]
    #: Seconds until the next poll; infinite where nothing waits.
    rest: float
    #: Those of the acknowledgements that held; the others came after their leases had ended.
    acknowledged: list[Acknowledgement]
    #: The destinations that were put on hold or released.
    changes: Changes = field(default_factory=Changes)


@tried_again
def poll(
    database: Database,
    acks: Sequence[Acknowledgement],
    wanted: Sequence[Capacity],
    terms: Terms,
) -> Polled:
    """Acknowledge what was sent and lease what may be sent next, in one transaction.

    The destinations have been made known with `rate_limit.register`. Raises StoreUnavailable; then
    nothing was acknowledged and nothing leased.
    """
    leases: list[Lease] = []
    changes = Changes()
    with database.writing() as connection:
        mine, now = acknowledge(database, connection, acks)
        names = {one.destination for one in wanted} | {ack.lease.destination for ack in mine}
        states = rate_limit.states(connection, names)
        if any(tells_of_hold(ack, states[ack.lease.destination]) for ack in mine):
            changes = update_holds(database, connection, mine, states, terms, now)
            states = rate_limit.states(connection, names)
        for one in wanted:
            state = states[one.destination]
            if rate_limit.rest(state, one, now) == 0:
                takes = one.takes_suspect and not any(lease.suspect for lease in leases)
                room = replace(one, takes_suspect=takes)
                leases += lease_ready(database, connection, room, state, terms, now)
    leased = Counter(lease.destination for lease in leases)
    rests = [
        max(
            # `states` is from before these leases: a destination that gave some is polled again.
            0.0 if leased[one.destination] else rate_limit.rest(states[one.destination], one, now),
            _SOON if one.most else _SHORTLY,
        )
        for one in wanted
        if leased[one.destination] < one.room
    ]
    return Polled(
        leases=leases, rest=min(rests, default=math.inf), acknowledged=mine, changes=changes
    )


def look(database: Database, wanted: Sequence[Capacity]) -> float:
    """Seconds until there may be something to lease: takes no lock. Raises StoreUnavailable."""
    with database.reading() as connection:
        now = database.read_clock(connection)
        states = rate_limit.states(connection, [one.destination for one in wanted])
        rests = (rate_limit.rest(states[one.destination], one, now) for one in wanted)
        return min(rests, default=math.inf)
