"""What tests do as a worker would: lease deliveries, and acknowledge what became of them."""

from dataclasses import replace

from destination.model.lease import Acknowledgement
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from tests.conftest import arrival

LEASE, PROBE = 60.0, 30.0
TERMS = Terms(lease=LEASE, hold_probe=PROBE, breaker_failures=5, breaker_probe=2.0)


def turn(database, limit=10, acks=(), destination="rehook", terms=TERMS, **wanted):
    with database.reading() as connection:
        known = rate_limit.states(connection, ["rehook"])
    if not known:
        rate_limit.register(database, ["rehook", "reward"])
    wants = Capacity(destination=destination, room=limit, **wanted)
    return poll.poll(database, acks, [wants] if limit else [], terms)


def lease(database, limit=10, acks=(), destination="rehook", **wanted):
    return turn(database, limit, acks, destination, **wanted).leases


def acknowledge(database, *acks):
    assert lease(database, 0, acks) == []


def outcome(leased, verdict=Verdict.DELIVERED, **changes):
    """What became of a claim: by default it was delivered."""
    status = {
        Verdict.DELIVERED: 200,
        Verdict.RETRY: 503,
        Verdict.REJECTED: 400,
        Verdict.HOLD: 401,
    }.get(verdict)
    exchange = Exchange(
        method="POST",
        url="http://engine/x",
        status=status,
        trouble=None if status else Trouble.TIMEOUT,
        answer="ok",
    )
    made = Acknowledgement(
        lease=leased,
        exchange=exchange,
        verdict=verdict,
        status=verdict.status,
        reason=None if verdict is Verdict.DELIVERED else f"http_{status}",
        step=1,
    )
    return replace(made, **changes)


def receive(database, *pairs):
    enqueue(database, [arrival(message_id, customer) for message_id, customer in pairs])


def names(leases):
    return [leased.payload.split('"')[3] for leased in leases]


def statuses(database):
    return {row["message_id"]: row["status"] for row in lists.deliveries(database)}
