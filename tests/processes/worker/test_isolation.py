"""What was under way when a worker died is performed where it can take nobody down."""

import json
import threading
from dataclasses import replace

import pytest

from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.verdict import Exchange, Trouble, Verdict
from destination.partners.rehook import Rehook, RehookSettings
from destination.settings.tables import Settings
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from destination.worker.channel import clock
from destination.worker.isolation import send_alone
from destination.worker.loop import Worker
from tests.conftest import arrival
from tests.faults.poisonous import Poisonous
from tests.misbehaving import read_request, response, server
from tests.running import until

#: A lease long enough for a busy machine.
SETTINGS = Settings(connect_timeout=5.0, read_timeout=5.0, lease=60.0)


def leased(action, poison, **changes):
    lease = Lease(
        delivery_id=1,
        attempt_id=1,
        lane_id=1,
        token="t",
        destination="rehook",
        action=action,
        payload=json.dumps({"source_id": "ada", "metadata": {"poison": poison}}),
        step=0,
        attempts=2,
        created_at=0.0,
        leased_at=0.0,
        first_attempt_at=0.0,
        interrupted=False,
        suspect=True,
        crashes=0,
        refusals=0,
        bulk=False,
        probe=False,
    )
    return replace(lease, **changes)


@pytest.mark.parametrize(
    ("lease", "verdict", "status"),
    [
        (leased("identifyUser", "sending"), Verdict.RETRY, Status.PENDING),
        (leased("identifyUser", "sending", crashes=1), Verdict.RETRY, Status.FAILED),
        (leased("trackEvent", "sending"), Verdict.UNKNOWN, Status.UNCERTAIN),
        (leased("identifyUser", "making"), Verdict.UNKNOWN, Status.UNCERTAIN),
        (leased("trackEvent", "making", interrupted=True), Verdict.UNKNOWN, Status.UNCERTAIN),
    ],
    ids=["once", "twice", "award", "before it is sent", "when it is judged"],
)
def test_what_kills_the_process_that_does_nothing_else_is_told_and_kills_no_worker(
    lease, verdict, status
):
    ack = send_alone(Poisonous(RehookSettings()), SETTINGS, lease, clock())

    assert (ack.verdict, ack.status) == (verdict, status)
    assert ack.reason == ack.exchange.trouble.value == "crashed"


def test_what_does_not_end_within_its_lease_is_left_as_by_a_worker_that_died():
    lease, before = leased("trackEvent", "hanging"), clock() - SETTINGS.lease + 1
    ack = send_alone(Poisonous(RehookSettings()), SETTINGS, lease, before)

    assert ack.lease == replace(lease, token="")


def test_a_worker_that_dies_counts_against_nobody_however_often_it_does(timed, clock):
    made = arrival("m1")
    payload = '{"source_id":"u1"}'
    customer = replace(made.deliveries[0], action="identifyUser", payload=payload)
    enqueue(timed, [replace(made, deliveries=(customer,)), arrival("m2")])
    rate_limit.register(timed, ["rehook"])
    wanted = [Capacity(destination="rehook", room=1)]
    for death in range(5):
        [lease] = poll.poll(timed, [], wanted, Terms(lease=5.0)).leases
        assert (lease.suspect, lease.interrupted, lease.crashes) == (death > 0, False, 0)
        clock.now += 6
        [left] = poll.poll(timed, [], wanted, Terms(lease=5.0)).leases
        assert (left.suspect, left.interrupted) == (True, True)
        died = Exchange(method="POST", url="", trouble=Trouble.WORKER_DIED)
        apply = Acknowledgement(
            lease=left, exchange=died, verdict=Verdict.RETRY, status=Status.PENDING
        )
        poll.poll(timed, [apply], [], Terms())
    arrived = []

    def engine(connection):
        while request := read_request(connection):
            arrived.append(request.split()[1])
            connection.sendall(response(200))

    with server(engine) as url:
        worker = Worker(timed, {"rehook": Rehook(RehookSettings(url=url))}, SETTINGS)
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: lists.counts(timed) == {"delivered": 2})
        worker.stop()
        thread.join(15)
    assert arrived == [b"/customers", b"/events/invoke"]
