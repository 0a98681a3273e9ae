"""Nothing is awarded twice: whatever is repeated, replayed, or mapped anew."""

import itertools
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from destination.mapping import durations
from destination.model.delivery import Discard, Status
from destination.model.event import read_event
from destination.routing.route import arrive, route
from destination.store import schema
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from destination.store.replay.retry import send_again
from destination.store.rules import award_once

DAY = 86_400.0

MAPPING = """\
name: Order
action: trackEvent
trigger: type = "track"
%s
fields:
  event_name: $.event
  source_id: $.userId
  metadata: $.properties
"""

BY_ORDER = "award_key: $.properties.order_id"


@pytest.fixture
def mapped(tmp_path, setup):
    """The routes of one mapping with some lines of its own, and of others by their names."""

    def mapped(lines="", **others):
        folder = tmp_path / "mine" / "segment-to-rehook"
        folder.mkdir(parents=True, exist_ok=True)
        for name, added in {"Order": lines, **others}.items():
            text = MAPPING.replace("name: Order", f"name: {name}") % added
            (folder / f"{name}.yaml").write_text(text)
        return setup(MAPPINGS=str(folder.parent)).routes()

    return mapped


def send_failed_again(database):
    failed = [row["id"] for row in lists.deliveries(database) if row["status"] == "failed"]
    return send_again(database, failed, Status.FAILED, destinations={})


def order(message_id, order_id=None, **changes):
    properties = {} if order_id is None else {"order_id": order_id}
    return {
        "type": "track",
        "messageId": message_id,
        "event": "Order Completed",
        "userId": "ada",
        "properties": properties,
        **changes,
    }


def take(database, routes, *calls):
    """Take calls in at once; what becomes of each: its reason, or `accepted`."""
    outcomes = enqueue(database, [arrive(call, "segment", routes) for call in calls])
    return [outcome.reason or outcome.outcome for outcome in outcomes]


def stand(database, status, reason=None):
    """Let every delivery that waits stand somewhere, as a worker does."""
    table = schema.delivery
    with database.writing() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.status == "pending")
            .values(status=status.value, reason=reason)
        )


def statuses(database):
    rows = sorted(lists.deliveries(database), key=lambda row: row["id"])
    return [(row["message_id"], row["status"], row["reason"]) for row in rows]


# Old events.


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("30s", 30), ("90m", 5400), ("12h", 43_200), ("7d", 7 * DAY), ("2w", 14 * DAY)],
)
def test_an_age_is_a_number_and_a_unit(age, seconds):
    assert durations.seconds(age) == seconds


@pytest.mark.parametrize(
    ("age", "words"),
    [(30, "30 seconds"), (5400, "90 minutes"), (9 * 3600.0, "9 hours"), (9.31 * DAY, "9.3 days")],
)
def test_an_age_is_told_in_words(age, words):
    assert durations.words(age) == words


@pytest.mark.parametrize(
    ("timestamp", "old"),
    [
        ("2026-03-07T00:00:00Z", False),
        ("2026-03-06T23:59:59Z", True),
        ("1999-01-01T00:00:00Z", True),
        ("2026-03-15T00:00:00Z", False),
        (None, False),
        ("yesterday", False),
    ],
)
def test_an_event_older_than_max_age_makes_no_award(mapped, timestamp, old):
    received = 1_773_446_400.0  # 2026-03-14T00:00:00Z
    event = read_event(
        order("m1", timestamp=timestamp),
        source="segment",
        max_bytes=32_768,
        received_at=received,
    )
    [found] = route(event, mapped("max_age: 7d"))

    assert (isinstance(found, Discard) and found.reason == "too_old") is old


def test_the_discard_says_how_old_it_is(mapped):
    event = read_event(
        order("m1", timestamp="2026-03-01T00:00:00Z"),
        source="segment",
        max_bytes=32_768,
        received_at=1_773_446_400.0,
    )
    [found] = route(event, mapped("max_age: 7d"))

    assert found.detail == "It is 13 days old, and may be 7 days at most."
    assert found.mapping == "Order"


def test_without_max_age_a_backfill_is_awarded(database, mapped):
    assert take(database, mapped(), order("m1", timestamp="1999-01-01T00:00:00Z")) == ["accepted"]


# Repeated events.


def test_one_order_under_two_message_ids_pays_once(database, mapped):
    routes = mapped(BY_ORDER)

    assert take(database, routes, order("m1", 7)) == ["accepted"]
    assert take(database, routes, order("m2", 7), order("m3", 8)) == ["already_awarded", "accepted"]
    assert take(database, routes, order("m2", 7)) == ["already_awarded"]
    assert [message_id for message_id, _, _ in statuses(database)] == ["m1", "m3"]


def test_within_a_batch_too_the_first_is_paid(database, mapped):
    calls = [order("m1", 7), order("m2", 7), order("m3", 7)]

    assert take(database, mapped(BY_ORDER), *calls) == [
        "accepted",
        "already_awarded",
        "already_awarded",
    ]


@pytest.mark.parametrize(("one", "other"), [(7, "7"), ("é", "é"), ({"a": 1}, {"a": 1})])
def test_a_number_and_its_text_are_one_order(database, mapped, one, other):
    assert take(database, mapped(BY_ORDER), order("m1", one), order("m2", other)) == [
        "accepted",
        "already_awarded",
    ]


@pytest.mark.parametrize("nothing", [None, "", "  ", {}, [], [None, {"a": ""}]])
def test_events_without_a_value_are_awards_of_their_own(database, mapped, nothing):
    calls = [order(f"m{n}", properties={"order_id": nothing}) for n in range(3)]

    assert take(database, mapped(BY_ORDER), *calls) == ["accepted"] * 3


@pytest.mark.parametrize("value", [0, False, "0", "\0", "\ud800", "x" * 9000])
def test_any_other_value_is_a_key(database, mapped, value):
    assert take(database, mapped(BY_ORDER), order("m1", value), order("m2", value)) == [
        "accepted",
        "already_awarded",
    ]


def test_a_key_may_be_made_of_several_values(database, mapped):
    routes = mapped("award_key:\n  order: $.properties.order_id\n  event: $.event")
    calls = [order("m1", 7), order("m2", 7, event="Order Paid"), order("m3", 7)]

    assert take(database, routes, *calls) == ["accepted", "accepted", "already_awarded"]


def test_each_mapping_has_its_awards(database, mapped):
    routes = mapped(BY_ORDER, Bonus=BY_ORDER)

    assert take(database, routes, order("m1", 7)) == ["accepted"]
    assert len(statuses(database)) == 2
    assert take(database, routes, order("m2", 7)) == ["already_awarded"]


def forget_payloads(database):
    """Delete events, deliveries and discards, as their ages come."""
    with database.writing() as connection:
        for table in (schema.discard, schema.delivery, schema.event):
            connection.execute(sa.delete(table))


@pytest.mark.parametrize("before", ["", BY_ORDER])
@pytest.mark.parametrize("after", ["", BY_ORDER, "description: changed"])
def test_a_changed_mapping_does_not_pay_again_what_is_long_forgotten(
    database, mapped, before, after
):
    assert take(database, mapped(before), order("m1", 7)) == ["accepted"]
    stand(database, Status.DELIVERED)
    forget_payloads(database)

    assert take(database, mapped(after), order("m1", 7)) == ["already_awarded"]


def test_a_customer_may_be_sent_again(database, setup):
    call = {"type": "identify", "messageId": "m1", "userId": "ada", "traits": {}}
    routes = setup().routes()
    take(database, routes, call)
    forget_payloads(database)

    assert take(database, routes, call) == ["accepted"]


# At once, and many.


def test_one_order_that_arrives_at_once_pays_once(database, mapped):
    routes = mapped(BY_ORDER)
    barrier = threading.Barrier(8)
    results = []

    def receive(number):
        barrier.wait()
        for turn in range(5):
            calls = [order(f"{number}-{turn}-{n}", f"order {n}") for n in range(4)]
            results.extend(take(database, routes, *(calls if number % 2 else reversed(calls))))

    threads = [threading.Thread(target=receive, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["accepted"] * 4 + ["already_awarded"] * 156
    assert len(statuses(database)) == 4


_FILL = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
    "INSERT INTO award SELECT randomblob(32), i, i FROM n",
    "postgresql": "INSERT INTO award SELECT sha256(i::text::bytea), i, i "
    "FROM generate_series(1, 50000) i",
}


def test_no_statement_reads_through_the_awards(database, mapped):
    name = database.engine.dialect.name
    ran = []
    with database.writing() as connection:
        connection.exec_driver_sql(_FILL[name])
        connection.exec_driver_sql("ANALYZE")
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda *arguments: ran.append(arguments[2:4])
    )
    take(database, mapped(BY_ORDER), order("m1", 7), order("m2", 7))
    take(database, mapped(BY_ORDER), order("m3", 7))
    with database.writing() as connection:
        award_once.forget(connection, 1.0, 10)

    explain = "EXPLAIN QUERY PLAN" if name == "sqlite" else "EXPLAIN"
    looked = [each for each in ran if "award" in each[0] and not each[0].startswith("INSERT")]
    assert len(looked) == 4
    with database.reading() as connection:
        for statement, parameters in looked:
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            plan = " ".join(str(row[-1]) for row in rows)
            assert "SCAN" not in plan.replace("LIST", "")
            assert "Seq Scan" not in plan


_counter = itertools.count()


@hypothesis_settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    batches=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=5),
            st.sampled_from([Status.PENDING, Status.FAILED, Status.DELIVERED, Status.UNCERTAIN]),
        ),
        max_size=6,
    )
)
def test_whatever_is_repeated_no_order_is_paid_twice_and_none_is_forgotten(
    database, mapped, batches
):
    run = next(_counter)
    routes = mapped(BY_ORDER)
    for calls, becomes in batches:
        made = [order(f"{run}-{message}", f"{run}-{number}") for message, number in calls]
        take(database, routes, *made)
        stand(database, becomes)
    send_failed_again(database)

    paid = {}
    for row in lists.deliveries(database):
        if row["message_id"].startswith(f"{run}-") and row["status"] != "failed":
            call = lists.delivery(database, row["id"])["call"]
            paid.setdefault(call.split('"order_id":')[1], []).append(row["message_id"])
    assert [messages for messages in paid.values() if len(messages) > 1] == []

    first = {}
    for calls, _ in batches:
        for message, number in calls:
            first.setdefault(message, number)  # the same call twice is one call
    assert len(paid) == len(set(first.values()))
