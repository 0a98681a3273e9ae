"""What an engine's own notice shows to have been processed is delivered, on each database."""

import json
from dataclasses import replace

import pytest

from destination.model.arrival import Arrival
from destination.model.delivery import Confirmation, Discard, Status
from destination.model.verdict import Verdict
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queue.enqueue import enqueue
from tests.conftest import arrival
from tests.leasing import acknowledge, lease, outcome

NOTHING = Arrival(
    source="rehook",
    message_id="n1",
    call="{}",
    discards=(Discard(reason="no_matching_mapping", detail="None."),),
)
FIELDS = {"event_name": "order_success", "source_id": "ada", "metadata": {"total": 250}}


def award(message_id="m1", customer="ada", **changes):
    """An arrival that makes one award."""
    made = arrival(message_id, customer)
    payload = json.dumps({**FIELDS, "source_id": customer, **changes})
    return replace(made, deliveries=(replace(made.deliveries[0], payload=payload),))


def notice(message_id="n1", customer="ada", **changes):
    """What the engine tells of it, with the keys in another order."""
    fields = dict(reversed({**FIELDS, "source_id": customer, **changes}.items()))
    shown = Confirmation(destination="rehook", customer=customer, fields=fields)
    return replace(NOTHING, message_id=message_id, confirms=shown)


def state(database, message_id="m1"):
    [row] = lists.deliveries(database, Filter(message_id=message_id))
    full = lists.delivery(database, row["id"])
    return full["status"], full["reason"], full["confirmed_by"] is not None


def send(database, verdict=Verdict.UNKNOWN, **changes):
    [leased] = lease(database)
    acknowledge(database, outcome(leased, verdict, **changes))


def test_an_uncertain_award_is_confirmed_by_a_later_notice(database):
    enqueue(database, [award()])
    send(database)
    assert state(database)[0] == "uncertain"
    enqueue(database, [notice()])

    assert state(database) == ("delivered", "confirmed", True)
    [event] = lists.events(database, Filter(message_id="n1"))
    [row] = lists.deliveries(database, Filter(message_id="m1"))
    assert lists.delivery(database, row["id"])["confirmed_by"] == event["id"]


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.RETRY, Verdict.REJECTED])
def test_a_notice_that_is_faster_than_the_answer_counts_too(database, verdict):
    enqueue(database, [award(), award("m2", total=1)])
    [leased] = lease(database)
    enqueue(database, [notice()])
    assert state(database)[0] == "sending"
    acknowledge(database, outcome(leased, verdict, wait=900.0 if verdict is Verdict.RETRY else 0.0))

    assert state(database) == ("delivered", "confirmed", True)


def test_an_answer_needs_no_confirmation(database):
    enqueue(database, [award()])
    [leased] = lease(database)
    enqueue(database, [notice()])
    acknowledge(database, outcome(leased))

    assert state(database) == ("delivered", None, True)


@pytest.mark.parametrize(
    "told",
    [
        notice(customer="bob"),
        notice(event_name="signup"),
        notice(metadata={"total": 251}),
        notice(metadata={"total": 250, "more": 1}),
        NOTHING,
    ],
)
def test_a_notice_of_something_else_confirms_nothing(database, told):
    enqueue(database, [award()])
    send(database)
    enqueue(database, [told])

    assert state(database)[0] == "uncertain"


def test_what_was_not_sent_yet_is_not_confirmed(database):
    enqueue(database, [award()])
    enqueue(database, [notice()])

    assert state(database) == ("pending", None, False)


def test_of_two_that_are_equal_none_is_confirmed(database):
    enqueue(database, [award(), award("m2")])
    send(database)
    send(database)
    enqueue(database, [notice()])

    assert {state(database, each)[0] for each in ("m1", "m2")} == {Status.UNCERTAIN.value}


def test_yesterdays_award_is_not_confirmed_by_the_notice_of_an_equal_one(timed, clock):
    """Yesterday's never reached the engine; today's was answered, and is what it tells of."""
    enqueue(timed, [award()])
    send(timed)
    clock.now += 24 * 3600
    enqueue(timed, [award("m2")])
    send(timed, Verdict.DELIVERED)
    enqueue(timed, [notice()])

    assert (state(timed)[0], state(timed, "m2")[0]) == ("uncertain", "delivered")


def test_a_repeated_notice_confirms_nothing_more(database):
    enqueue(database, [award()])
    send(database)
    enqueue(database, [notice(), notice()])
    enqueue(database, [award("m2")])
    send(database)
    enqueue(database, [notice()])

    assert (state(database)[0], state(database, "m2")[0]) == ("delivered", "uncertain")
