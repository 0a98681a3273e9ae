"""A deletion request removes a customer's data everywhere, and nothing brings it back."""

import math
import threading

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from destination.cli import main
from destination.model.verdict import Verdict
from destination.partners.webhook.destination import endpoint
from destination.routing import route
from destination.store import database as databases
from destination.store import schema, subscribers
from destination.store.queries import lists
from destination.store.queue import poll, rate_limit
from destination.store.queue.rate_limit import Capacity
from destination.store.upkeep import erasure
from destination.support import json_codec
from tests.leasing import acknowledge, lease, outcome
from tests.store.partners.test_webhook import VALUES
from tests.store.replay.test_replay import drain, order, rejected, replay, unknown

CANARY = "canary-7f3a"


@pytest.fixture
def receiver(database, setup, monkeypatch):
    monkeypatch.setattr(databases, "connect", lambda _: database)
    return setup().receiver()


def call(number, customer=CANARY, **changes):
    return {**order(number, customer, note=f"about {customer}"), **changes}


def identify(number, customer=CANARY):
    traits = {"referral_code": "CODE", "email": f"{customer}@example.com"}
    return {"type": "identify", "messageId": f"m{number}", "userId": customer, "traits": traits}


def forget(*options, stdin=None):
    command = ["forget", "--yes", *(options or [CANARY])]
    return CliRunner().invoke(main, command, input=stdin, catch_exceptions=False)


def everything(database):
    """Every value of every row, as text."""
    with database.reading() as connection:
        return " ".join(
            str(value)
            for table in schema.metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for value in row
        )


def rows(database, table):
    with database.reading() as connection:
        return list(connection.execute(sa.select(table)))


def test_nothing_of_the_customer_is_left_anywhere(receiver):
    database = receiver.database
    receiver.take([identify(1), call(2), call(3)], "segment")
    drain(database, rejected)
    receiver.take([call(4), call(5, event=None, type="page"), call(6, "bob")], "segment")
    assert CANARY in everything(database)

    result = forget()
    assert "Removed: 5 events, 1 deliveries that wait." in result.output
    assert CANARY not in result.output
    assert CANARY not in everything(database)
    assert [row["message_id"] for row in lists.deliveries(database)] == ["m6"]


def test_subscribers_are_told_nothing_more_and_can_ask_nothing_more(receiver):
    database = receiver.database
    row = subscribers.add(database, {**VALUES, "event_names": ["customerAdded"]}, "x")
    receiver.registry.look()
    rate_limit.register(database, ["rehook", endpoint(row["id"])])

    def created(number, customer):
        metadata = {"CustomerID": f"cust_{customer}"}
        call = {"event": "customer.created", "properties": metadata}
        return {**call, "type": "track", "messageId": f"m{number}", "userId": customer}

    receiver.take([created(1, CANARY)], "rehook")
    [told] = lease(database, destination=endpoint(row["id"]))
    acknowledge(database, outcome(told, Verdict.REJECTED))
    receiver.take([created(2, CANARY), created(3, "bob")], "rehook")
    assert len(subscribers.log_of_reference(database, CANARY)) == 2

    assert "Removed: 2 events, 1 deliveries that wait." in forget().output
    assert CANARY not in everything(database)
    assert subscribers.log_of_reference(database, CANARY) == []
    assert len(subscribers.log_of_reference(database, "bob")) == 1
    waiting = lease(database, destination=endpoint(row["id"]))
    assert ["bob" in leased.payload for leased in waiting] == [True]


def test_no_row_of_any_table_has_anything_of_a_customer_who_did_all_that_one_can_do(
    receiver, monkeypatch
):
    """Every kind of call, what came back from the engine, and all that can become of them."""
    database = receiver.database
    engine = receiver.routes.current.sources["rehook"]
    anonymous = {"anonymousId": f"anonymous-{CANARY}"}
    receiver.take([identify(1), call(2), call(3), {**identify(4), "type": "group"}], "segment")
    drain(database, rejected)  # the engine's answers are kept with the attempts
    receiver.take([call(5), {**call(6), **anonymous}], "segment")
    drain(database, unknown)
    receiver.take(
        [
            {**call(7), **anonymous, "userId": None},
            {"type": "alias", "messageId": "m8", "userId": "bob", "previousId": CANARY},
            call(9, properties="x" * 40_000),
            {**identify(10), "context": {"personas": {}}},
            {**identify(11), "context": {"personas": {}}},
            call(12, "bob"),
            call(13, **anonymous),
        ],
        "segment",
    )
    notice = {"event_name": "customer.rewarded", "source_id": CANARY, "metadata": {"of": CANARY}}
    calls, _ = engine.calls(json_codec.dumps([notice]).encode())
    receiver.take(calls, "rehook")
    with monkeypatch.context() as patched:
        patched.setattr(route, "_fires", None)  # routing breaks: it is parked
        receiver.take([call(14)], "segment")
    tables = {
        table.name
        for table in schema.metadata.sorted_tables
        if CANARY in str(rows(database, table))
    }
    assert tables == {"event", "lane", "delivery", "profile", "referral_code"}
    assert {"superseded", "anonymous", "event_too_large", "mapping_failed"} <= {
        row["reason"] for row in lists.discards(database)
    }

    forget(CANARY, "--anonymous-id", f"anonymous-{CANARY}")
    assert CANARY not in everything(database)
    assert [payload["source_id"] for payload in drain(database)] == ["bob"]


@pytest.mark.parametrize(("number", "longer"), [(4711, 47119), (47.5, 47.55)])
def test_an_id_that_is_a_number_is_found_where_a_call_was_refused(receiver, number, longer):
    large = {"properties": "x" * 40_000}
    receiver.take([call(1, number, **large), call(2, longer, **large)], "segment")
    forget(str(number))

    outcomes = {row["message_id"]: row["outcome"] for row in lists.events(receiver.database)}
    assert outcomes == {"m1": "removed", "m2": "discarded"}


def test_an_anonymous_id_alone_reaches_nobody_who_is_known(receiver):
    shared = {"anonymousId": "shared"}
    receiver.take([call(1, "bob", **shared), call(2, None, **shared)], "segment")

    assert "Removed: 1 events, 0 deliveries" in forget("--anonymous-id", "shared").output
    assert len(drain(receiver.database)) == 1
    assert CliRunner().invoke(main, ["forget", "--yes"]).exit_code == 2


def test_a_call_that_was_refused_is_forgotten_too(receiver):
    large = "x" * 40_000
    receiver.take([call(1, properties=large), call(2, "canary", properties=large)], "segment")
    forget()

    assert CANARY not in everything(receiver.database)
    assert "canary" in everything(receiver.database)


def test_a_name_in_other_letters_is_somebody_else(receiver):
    receiver.take([call(1, "ADA", properties="x" * 40_000)], "segment")
    receiver.take(
        [{"type": "alias", "messageId": "m2", "userId": "u", "previousId": "ADA"}], "segment"
    )
    receiver.take([call(3, None, anonymousId="ADA")], "segment")

    assert "Removed: 0 events" in forget("ada", "--anonymous-id", "ada").output
    assert "Removed: 3 events" in forget("ADA", "--anonymous-id", "ADA").output


@pytest.mark.parametrize(
    ("customer", "written"),
    [
        (CANARY, f'"userId": "{CANARY}"'),
        (CANARY, f'"userId"\n:\t"{CANARY}"'),
        ("müller", '"userId": "m\\u00fcller"'),
        ("4711", '"userId" : 4711 '),
    ],
)
def test_a_call_that_is_nested_too_deep_is_found_as_it_came(receiver, customer, written):
    deep = "[" * 3000 + "]" * 3000
    body = f'[{{"messageId": "m1", {written}, "about": "{CANARY}", "properties": {deep}}}]'
    calls, _ = receiver.routes.current.sources["segment"].calls(body.encode())
    [outcome] = receiver.take(calls, "segment")
    assert outcome.reason == "nested_too_deep"

    assert "Removed: 0 events" in forget("canary", "471").output
    assert "Removed: 1 events" in forget(customer).output
    assert CANARY not in everything(receiver.database)


def test_what_waits_is_not_sent_and_nobody_elses_is_touched(receiver):
    receiver.take([call(1), call(2, "bob")], "segment")
    forget()

    assert [payload["source_id"] for payload in drain(receiver.database)] == ["bob"]


def test_neither_a_retry_of_the_call_nor_a_replay_brings_anything_back(receiver):
    receiver.take([call(1)], "segment")
    drain(receiver.database, unknown)
    forget()

    [again] = receiver.take([call(1)], "segment")
    assert again.outcome == "duplicate"
    for options in (["--failed"], ["--discarded"], ["--uncertain", "--may-pay-twice"]):
        assert "0 of 0" in replay(*options).output
    assert CANARY not in everything(receiver.database)


def test_what_is_under_way_is_settled_into_nothing(receiver):
    receiver.take([call(1)], "segment")
    [leased] = lease(receiver.database)
    forget()

    acknowledge(receiver.database, outcome(leased))
    assert lease(receiver.database) == []
    assert poll.look(receiver.database, [Capacity(destination="rehook", room=1)]) == math.inf
    assert CANARY not in everything(receiver.database)


@pytest.mark.parametrize("then", ["waits", "is under way"])
@pytest.mark.parametrize("customer", ["bob", CANARY])
def test_its_answer_settles_nothing_that_came_after_it(receiver, customer, then):
    """The names go last, and on SQLite what comes next has the ids of what is gone."""
    database = receiver.database
    receiver.take([call(1)], "segment")
    [leased] = lease(database)
    erasure._forget_events(database, erasure.find(database, [CANARY]).events)
    receiver.take([call(2, customer)], "segment")
    begun = lease(database) if then == "is under way" else []

    acknowledge(database, outcome(leased))
    [delivery] = lists.deliveries(database)
    assert delivery["status"] == ("sending" if begun else "pending")
    for each in begun:
        [attempt] = lists.delivery(database, each.delivery_id)["attempt_list"]
        assert attempt["ended_at"] is None
    assert len(begun or lease(database)) == 1


def test_a_customer_who_comes_back_is_a_new_one_and_can_be_forgotten_again(receiver):
    for number in (1, 2):
        receiver.take([call(number)], "segment")
        assert len(drain(receiver.database)) == 1
        forget()
    assert CANARY not in everything(receiver.database)


def test_a_code_stays_taken_though_nobody_knows_by_whom(receiver):
    receiver.take([identify(1)], "segment")
    forget()

    [outcome] = receiver.take([identify(2, "bob")], "segment")
    assert outcome.reason == "referral_code_taken"


def test_nobody_stands_in_the_way_by_the_name_of_an_id(receiver):
    receiver.take([identify(1)], "segment")
    receiver.take([identify(1 + n, f"forgotten-{n}") for n in range(1, 5)], "segment")
    receiver.take([call(9, "forgotten")], "segment")

    assert "Removed: 1 events" in forget().output
    assert CANARY not in everything(receiver.database)
    [outcome] = receiver.take([identify(10, "forgotten")], "segment")
    assert outcome.reason == "referral_code_taken"


def test_many_are_forgotten_from_a_list_in_steps(receiver, monkeypatch):
    monkeypatch.setattr(erasure, "BATCH", 2)
    monkeypatch.setattr(erasure, "AT_ONCE", 3)
    receiver.take([call(n, f"u{n}") for n in range(5)], "segment")

    assert "Removed: 4 events" in forget("-", stdin="u0\nu1\n\nu2\nu3\n").output
    assert [row["lane"] for row in lists.deliveries(receiver.database)] == ["u4"]


def test_what_arrives_while_somebody_thinks_about_it_goes_too(receiver, monkeypatch):
    receiver.take([call(1)], "segment")

    def confirm(question, **_):
        assert "1 events, 1 deliveries" in question
        receiver.take([call(2), call(3, properties="x" * 40_000)], "segment")

    monkeypatch.setattr(click, "confirm", confirm)
    asked = CliRunner().invoke(main, ["forget", CANARY], catch_exceptions=False)
    assert "Removed: 3 events, 2 deliveries" in asked.output
    assert CANARY not in everything(receiver.database)


@pytest.mark.parametrize("so_far", ["waits", "is sent", "is under way"])
def test_what_arrives_while_it_runs_is_neither_stranded_nor_kept(receiver, so_far):
    database = receiver.database
    receiver.take([call(1)], "segment")
    known = erasure.find(database, [CANARY])
    drain(database)
    receiver.take([call(2)], "segment")
    if so_far == "is sent":
        drain(database)
    leased = lease(database) if so_far == "is under way" else []

    assert list(erasure.forget(database, [CANARY], known)) == [1, 1]
    assert CANARY not in everything(database)
    assert lease(database, acks=map(outcome, leased)) == []
    receiver.take([call(3)], "segment")
    assert len(drain(database)) == 1


def test_calls_that_come_without_a_pause_are_removed_whole_or_sent(receiver):
    """A receiver, a worker, and somebody who forgets over and over."""
    database = receiver.database
    ended = threading.Event()

    def take():
        for number in range(100):
            calls = [identify(number), call(1000 + number), call(2000 + number, "bob")]
            receiver.take(calls, "segment")
        ended.set()

    def send():
        while not ended.is_set():
            drain(database)

    threads = [threading.Thread(target=each) for each in (take, send)]
    for thread in threads:
        thread.start()
    while not ended.is_set():
        forget()
    for thread in threads:
        thread.join()

    drain(database)
    found = list(lists.deliveries(database))
    assert {row["status"] for row in found} == {"delivered"}
    assert {row["lane"] for row in found} <= {CANARY, "bob"}
    assert sum(row["lane"] == "bob" for row in found) == 100
    forget()
    assert CANARY not in everything(database)


def test_more_are_forgotten_than_a_statement_has_room_for(receiver, monkeypatch):
    monkeypatch.setattr(erasure, "AT_ONCE", 5_000)
    known = erasure.find(receiver.database, [CANARY])
    receiver.take([identify(1)], "segment")

    many = [f"u{number}" for number in range(70_000)]
    assert sum(erasure.forget(receiver.database, [*many, CANARY], known)) == 1
    assert CANARY not in everything(receiver.database)


def test_a_list_may_begin_with_a_byte_order_mark_and_must_be_utf_8(receiver):
    receiver.take([call("m", "zoë")], "segment")

    refused = forget("-", stdin="zoë\n".encode("latin-1"))
    assert (refused.exit_code, refused.output) == (1, "Error: - is not UTF-8 text.\n")
    assert "Removed: 1 events" in forget("-", stdin="\ufeffzoë\n".encode()).output


def test_an_id_that_is_no_text_is_refused(receiver):
    assert "One of the ids is not UTF-8 text." in forget("zo\udceb").output
    listed = CliRunner().invoke(main, ["deliveries", "--customer", "zo\udceb"])
    assert (listed.exit_code, "--customer is not UTF-8 text." in listed.output) == (2, True)


def test_it_tells_how_many_ids_nothing_was_found_by(receiver):
    receiver.take([call("m1", "u1"), call("m2", "u2")], "segment")
    receiver.take([{"type": "identify", "userId": 7, "messageId": 5}], "segment")
    receiver.take(
        [{"type": "alias", "userId": "b", "previousId": "a", "messageId": "m3"}], "segment"
    )
    receiver.take(
        [{"type": "track", "event": "A", "anonymousId": "n", "messageId": "m4"}], "segment"
    )

    told = forget("u1", "u3", "u3", "7", "a", "--anonymous-id", "n", "--anonymous-id", "o")
    assert "Nothing was found for 2 of the ids." in told.output
    assert "u3" not in told.output
    assert "Nothing was found" not in forget("u2").output
    assert "Nothing was found for 1 of the ids." in forget("u2").output


def test_it_asks_first(receiver):
    receiver.take([call(1)], "segment")

    asked = CliRunner().invoke(main, ["forget", CANARY], input="n\n")
    assert (asked.exit_code, "1 events, 1 deliveries" in asked.output) == (1, True)
    assert len(list(lists.deliveries(receiver.database))) == 1
    assert CliRunner().invoke(main, ["forget", "-"]).exit_code == 2
