"""Sending: a worker settles what it has sent, and claims what it may send next, in one go.

A claim writes down the attempt before its request leaves, and leases the lane. A settlement names
its claim: a worker that wakes up late changes nothing.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from destination.model.lease import Claim, Settlement
from destination.store.database import Database, tried_again
from destination.store.queue import rate_limit
from destination.store.queue.acknowledge import settle
from destination.store.queue.circuit_breaker import is_news, learn
from destination.store.queue.lease import claim
from destination.store.queue.rate_limit import Terms, Wanted

#: Seconds until another look, where something was claimed, or could not be just now.
_SHORTLY = 0.01

#: The same, where the requests of other workers may be what it waits for.
_SOON = 0.25


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a worker's turn at the store brought."""

    claims: list[Claim]
    #: The destinations that were put on hold, with the reason, or were found well again: None.
    changes: dict[str, str | None]
    #: Seconds until another look for more to claim; infinite where nothing waits.
    rest: float


@tried_again
def settle_and_claim(
    database: Database, settlements: Sequence[Settlement], wanted: Sequence[Wanted], terms: Terms
) -> Turn:
    """Settle what was sent and claim what may be sent next, in one transaction.

    The destinations have been made known with `paces.enter`. Raises StoreUnavailable; then
    nothing was settled and nothing claimed.
    """
    claims: list[Claim] = []
    changes: dict[str, str | None] = {}
    with database.writing() as connection:
        mine, now = settle(database, connection, settlements)
        names = {one.destination for one in wanted} | {one.claim.destination for one in mine}
        known = rate_limit.paces(connection, names)
        if any(is_news(one, known[one.claim.destination]) for one in mine):
            changes = learn(database, connection, mine, known, terms, now)
            known = rate_limit.paces(connection, names)
        for one in wanted:
            if rate_limit.rest(known[one.destination], one, now) == 0:
                claims += claim(database, connection, one, known[one.destination], terms, now)
    taken = Counter(claim.destination for claim in claims)
    rests = [
        max(
            # How those stand by now that something was taken of, the next look tells.
            0.0 if taken[one.destination] else rate_limit.rest(known[one.destination], one, now),
            _SOON if one.most else _SHORTLY,
        )
        for one in wanted
        if taken[one.destination] < one.room
    ]
    return Turn(claims=claims, changes=changes, rest=min(rests, default=math.inf))


def look(database: Database, wanted: Sequence[Wanted]) -> float:
    """Seconds until there may be something to claim: takes no lock. Raises StoreUnavailable."""
    with database.reading() as connection:
        now = database.read_clock(connection)
        known = rate_limit.paces(connection, [one.destination for one in wanted])
        return min(
            (rate_limit.rest(known[o.destination], o, now) for o in wanted), default=math.inf
        )
