"""What became of an award decides whether it is made again, and how long that is remembered."""

import pytest
import sqlalchemy as sa

from destination.model.delivery import Discard, Status
from destination.routing.route import arrive
from destination.store import schema
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from destination.store.replay.replay import Kind, replay
from destination.store.rules import award_once
from tests.store.rules.test_award_once import (
    BY_ORDER,
    DAY,
    forget_payloads,
    mapped,
    order,
    send_failed_again,
    stand,
    statuses,
    take,
)

__all__ = ["mapped"]  # a fixture


@pytest.mark.parametrize(
    "status", [Status.PENDING, Status.SENDING, Status.DELIVERED, Status.UNCERTAIN]
)
def test_an_award_that_may_have_been_made_is_not_made_again(database, mapped, status):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7))
    stand(database, status)

    assert take(database, routes, order("m2", 7)) == ["already_awarded"]


def test_an_award_that_failed_can_be_made_by_another_event(database, mapped):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7))
    stand(database, Status.FAILED, "http_400")

    assert take(database, routes, order("m2", 7), order("m3", 7)) == ["accepted", "already_awarded"]
    assert statuses(database) == [
        ("m1", "failed", "already_awarded"),
        ("m2", "pending", None),
    ]


def test_what_another_event_has_paid_is_not_sent_again_by_hand(database, mapped):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7), order("m2", 8))
    stand(database, Status.FAILED, "http_400")
    take(database, routes, order("m3", 7))

    assert len(send_failed_again(database)) == 1
    assert statuses(database)[:2] == [
        ("m1", "failed", "already_awarded"),
        ("m2", "pending", None),
    ]


def test_what_is_sent_again_by_hand_is_not_paid_by_another_event(database, mapped):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7))
    stand(database, Status.FAILED, "http_400")
    send_failed_again(database)

    assert take(database, routes, order("m2", 7)) == ["already_awarded"]


# How long it is remembered.


def test_awards_are_remembered_for_400_days(timed, clock, mapped):
    routes = mapped(BY_ORDER)
    take(timed, routes, order("m1", 7))
    clock.now += 399.9 * DAY
    assert take(timed, routes, order("m2", 7)) == ["already_awarded"]
    clock.now += 0.2 * DAY
    assert take(timed, routes, order("m3", 7), order("m4", 7)) == ["accepted", "already_awarded"]


def test_old_awards_are_forgotten_in_small_steps(timed, clock, mapped):
    take(timed, mapped(), *(order(f"m{n}") for n in range(5)))
    clock.now += 10
    take(timed, mapped(), order("new"))

    with timed.writing() as connection:
        steps = [award_once.forget(connection, clock.now, 2) for _ in range(4)]
    assert steps == [2, 2, 1, 0]


def test_a_failed_delivery_that_is_deleted_keeps_nobody_out(database, mapped):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7))
    stand(database, Status.FAILED)
    take(database, routes, order("m2", 8))
    stand(database, Status.DELIVERED)
    with database.writing() as connection:
        ids = connection.execute(sa.select(schema.delivery.c.id)).scalars().all()
        award_once.release(connection, ids)
    forget_payloads(database)

    assert take(database, routes, order("m3", 7), order("m4", 8)) == ["accepted", "already_awarded"]


def test_an_event_that_gets_the_number_of_a_deleted_one_frees_nothing(timed, clock, mapped):
    """SQLite gives numbers again once a table is empty."""
    routes = mapped(BY_ORDER)
    take(timed, routes, order("m1", 7))
    stand(timed, Status.DELIVERED)
    forget_payloads(timed)
    clock.now += 10
    take(timed, routes, order("m2", 8))
    stand(timed, Status.FAILED)

    assert take(timed, routes, order("m3", 7)) == ["already_awarded"]


def test_an_event_that_was_parked_is_not_paid_either(database, mapped):
    routes = mapped(BY_ORDER)
    parked = Discard(reason="mapping_failed", detail="", mapping="Order", destination="rehook")
    broken = arrive(order("m1", 7), "segment", routes).apply(lambda _: parked)
    enqueue(database, [broken])
    [row] = lists.discards(database)
    take(database, routes, order("m2", 7))

    found = replay(database, Kind.QUARANTINED, [row["id"]], routes)
    assert found == [("discarded", "already_awarded")]


def test_an_event_that_was_not_paid_can_be_paid_when_the_first_one_has_failed(database, mapped):
    routes = mapped(BY_ORDER)
    take(database, routes, order("m1", 7), order("m2", 7))
    stand(database, Status.FAILED)
    [row] = lists.discards(database)

    assert replay(database, Kind.DISCARDED, [row["id"]], routes) == [("accepted", None)]
    assert [status for _, status, _ in statuses(database)] == ["failed", "pending"]
