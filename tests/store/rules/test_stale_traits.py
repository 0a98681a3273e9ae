"""Segment promises no order: an identify that arrives late changes nothing that is newer."""

import itertools
import json
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from destination.routing.route import arrive
from destination.sandbox.engine import Engine
from destination.sandbox.rules import RULES, load
from destination.store import schema
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from destination.store.rules import stale_traits
from destination.support import json_codec
from tests.conftest import ROOT
from tests.running import service, until

#: Six identifies of one customer, each a minute after the one before it.
SIX = [
    {"name": "Ada", "tier": "bronze", "city": "Paris"},
    {"tier": "silver", "referral_code": "OLD"},
    {"city": None, "age": 36},
    {"name": "Ada L.", "tier": "gold", "referral_code": "NEW"},
    {"tier": "platinum"},
    {"city": "London", "vip": False},
]

#: What all of them together make of the customer.
TOGETHER = {
    "name": "Ada L.",
    "tier": "platinum",
    "city": "London",
    "age": 36,
    "vip": False,
    "referral_code": "NEW",
}

ORDERS = list(itertools.permutations(range(6)))


@pytest.fixture
def routes(setup):
    return setup().routes()


def identify(customer, minute, given, **changes):
    return {
        "type": "identify",
        "messageId": f"{customer}-{minute}-{changes}",
        "userId": customer,
        "timestamp": None
        if minute is None
        else f"2026-03-14T{9 + minute // 60:02}:{minute % 60:02}:00Z",
        "traits": given,
        **changes,
    }


def take(database, routes, *calls):
    """Take calls in at once; what becomes of each: its reason, or `accepted`."""
    outcomes = enqueue(database, [arrive(call, "segment", routes) for call in calls])
    return [outcome.reason or outcome.outcome for outcome in outcomes]


def customers(database):
    """The customers of an engine that has got everything, each lane in its order."""
    table = schema.delivery
    with database.reading() as connection:
        in_order = sa.select(table.c.payload).order_by(table.c.event_id, table.c.id)
        sent = connection.execute(in_order).scalars()
        payloads = [json.loads(payload) for payload in sent]
    engine = Engine(load(RULES), tell=lambda *_: None)
    for payload in payloads:
        assert engine.save(
            payload["source_id"],
            referral_code=payload.get("referral_code"),
            metadata=payload.get("metadata", {}),
        )
    return {customer.source_id: customer for customer in engine.customers()}


def properties(database, customer="u"):
    return dict(customers(database)[customer].metadata)


def own(given, customer):
    """The traits with a referral code that is the customer's own."""
    return {
        name: f"{value}-{customer}" if name == "referral_code" else value
        for name, value in given.items()
    }


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
def test_all_720_orders_of_six_identifies_end_in_the_same_customer(database, routes, at_once):
    turns = [
        [
            identify(f"u{n}", order[turn], own(SIX[order[turn]], f"u{n}"))
            for n, order in enumerate(ORDERS)
        ]
        for turn in range(6)
    ]
    for calls in [list(itertools.chain(*turns))] if at_once else turns:
        take(database, routes, *calls)

    found = customers(database)
    assert len(found) == 720
    for name, customer in found.items():
        assert dict(customer.metadata) == own(TOGETHER, name)
        assert customer.referral_code == f"NEW-{name}"


def test_the_orders_end_in_the_same_customer_of_a_running_engine(tmp_path):
    with service(tmp_path) as running:
        running.sandbox()
        running.serve()
        running.start("worker")
        orders = dict(enumerate(ORDERS[::60]))
        for turn in range(6):
            for n, order in orders.items():
                running.send(identify(f"u{n}", order[turn], own(SIX[order[turn]], f"u{n}")))
        until(running.settled)

        found = running.customers()
        assert {name: found[name]["metadata"] for name in found} == {
            f"u{n}": own(TOGETHER, f"u{n}") for n in orders
        }
        assert {found[f"u{n}"]["referral_code"] for n in orders} == {f"NEW-u{n}" for n in orders}


def test_nothing_is_left_of_an_identify_of_which_all_is_older(database, routes):
    assert take(database, routes, identify("u", 2, {"a": 2, "b": 2})) == ["accepted"]
    assert take(database, routes, identify("u", 1, {"a": 1})) == ["stale"]
    assert take(database, routes, identify("u", 1, {"a": 1})) == ["stale"]
    assert properties(database) == {"a": 2, "b": 2}


def test_what_is_new_in_a_late_identify_is_sent(database, routes):
    take(database, routes, identify("u", 2, {"a": 2}), identify("u", 1, {"a": 1, "b": 1}))

    newest, _ = lists.deliveries(database)
    assert lists.delivery(database, newest["id"])["payload"] == (
        '{"source_id":"u","metadata":{"b":1}}'
    )


def test_null_is_set_and_missing_is_not(database, routes):
    take(database, routes, identify("u", 2, {"a": None}), identify("u", 1, {"a": 1, "b": 1}))

    assert properties(database) == {"a": None, "b": 1}


def test_a_late_identify_without_traits_is_sent_as_it_is(database, routes):
    take(database, routes, identify("u", 2, {"a": 2}))

    assert take(database, routes, identify("u", 1, {}), identify("u", 0, None)) == ["accepted"] * 2


def test_it_is_about_one_customer(database, routes):
    take(database, routes, identify("u", 2, {"a": 2}))

    assert take(database, routes, identify("v", 1, {"a": 1})) == ["accepted"]


def test_of_two_with_the_same_time_the_later_to_arrive_counts(database, routes):
    take(database, routes, identify("u", 1, {"a": 1}))
    take(database, routes, identify("u", 1, {"a": 2}, messageId="again"))

    assert properties(database) == {"a": 2}


def test_a_call_that_does_not_say_when_counts_as_of_its_arrival(timed, clock, routes):
    clock.now = 1_773_480_000.0  # 2026-03-14T09:20:00Z
    take(timed, routes, identify("u", None, {"a": 0}))

    assert take(timed, routes, identify("u", 19, {"a": 19})) == ["stale"]
    assert take(timed, routes, identify("u", 21, {"a": 21})) == ["accepted"]
    assert properties(timed) == {"a": 21}


@pytest.mark.parametrize(("minute", "keeps_out"), [(30, True), (31, False)])
def test_a_clock_more_than_ten_minutes_ahead_does_not_count_as_newer(
    timed, clock, routes, minute, keeps_out
):
    clock.now = 1_773_480_000.0  # 2026-03-14T09:20:00Z
    take(timed, routes, identify("u", minute, {"a": "from the future"}))
    clock.now += 120

    assert take(timed, routes, identify("u", 21, {"a": "now"})) == [
        "stale" if keeps_out else "accepted"
    ]
    assert take(timed, routes, identify("u", 19, {"a": "before"})) == ["stale"]


def test_a_setting_sends_them_all_the_same(database, setup):
    routes = setup(STALE_TRAITS="send").routes()
    take(database, routes, identify("u", 2, {"a": 2}))

    assert take(database, routes, identify("u", 1, {"a": 1})) == ["accepted"]
    assert properties(database) == {"a": 1}


def test_a_referral_code_of_null_keeps_nothing_out(database, routes):
    take(database, routes, identify("u", 2, {"referral_code": None}))
    take(database, routes, identify("u", 1, {"referral_code": "CODE", "a": 1}))

    assert customers(database)["u"].referral_code == "CODE"
    assert properties(database) == {"a": 1, "referral_code": None}


def test_a_late_null_takes_no_newer_referral_code_away(database, routes):
    take(database, routes, identify("u", 2, {"referral_code": "CODE"}))
    take(database, routes, identify("u", 1, {"referral_code": None, "a": 1}))

    newest, _ = lists.deliveries(database)
    assert lists.delivery(database, newest["id"])["payload"] == (
        '{"source_id":"u","metadata":{"a":1}}'
    )


def test_an_identify_that_is_discarded_sets_nothing(database, routes):
    take(database, routes, identify("ada", 1, {"referral_code": "CODE"}))

    assert take(
        database,
        routes,
        identify("bob", 2, {"referral_code": "CODE", "a": 2}),
        identify("bob", 1, {"a": 1}),
    ) == ["referral_code_taken", "accepted"]


def test_every_mapping_of_an_event_sends_its_traits(database, tmp_path, setup):
    folder = tmp_path / "mappings" / "segment-to-rehook"
    folder.mkdir(parents=True)
    preset = (ROOT / "mappings" / "segment-to-rehook" / "identify-user.yaml").read_text()
    (folder / "a.yaml").write_text(preset)
    (folder / "b.yaml").write_text(preset.replace("Identify User", "Again"))
    routes = setup(MAPPINGS=str(folder.parent)).routes()

    assert take(database, routes, identify("u", 1, {"a": 1})) == ["accepted"]
    assert len(list(lists.deliveries(database))) == 2
    assert take(database, routes, identify("u", 0, {"a": 0})) == ["stale"]
    assert len(list(lists.discards(database))) == 2


@pytest.mark.parametrize("name", ["", ".", "a.b", "\0", "\ud800", "é" * 9000, "metadata"])
def test_any_text_can_name_a_trait(database, routes, name):
    take(database, routes, identify("u", 2, {name: 2}))

    assert take(database, routes, identify("u", 1, {name: 1})) == ["stale"]
    take(database, routes, identify("u", 1, {name: 1, "b": 1}, messageId="more"))
    newest, _ = lists.deliveries(database)
    assert lists.delivery(database, newest["id"])["payload"] == (
        '{"source_id":"u","metadata":{"b":1}}'
    )


def test_what_is_kept_of_a_customer_is_bounded(database, routes, monkeypatch):
    monkeypatch.setattr(stale_traits, "MOST_TRAITS", 10)
    for minute in range(20):
        take(database, routes, identify("u", minute, {f"trait{minute}": minute}))

    late = {f"trait{minute}": "late" for minute in range(20)}
    take(database, routes, identify("u", 0, late, messageId="late"))
    assert [name for name, value in properties(database).items() if value == "late"] == [
        f"trait{minute}" for minute in range(10)
    ]


def test_times_that_an_older_program_kept_still_count(database, routes):
    take(database, routes, identify("u", 2, {"a": 2}))
    with database.writing() as connection:
        table = schema.profile
        [times] = connection.execute(sa.select(table.c.times)).scalars()
        alone = {name: moment[0] for name, moment in json_codec.loads(times).items()}
        connection.execute(sa.update(table).values(times=json_codec.dumps(alone)))

    assert take(database, routes, identify("u", 1, {"a": 1})) == ["stale"]
    assert take(database, routes, identify("u", 2, {"a": 3}, messageId="again")) == ["accepted"]


def test_receivers_at_once_end_in_the_same_customers(database, routes):
    names = [f"u{n}" for n in range(5)]
    barrier = threading.Barrier(6)

    def receive(minute):
        barrier.wait()
        for name in names if minute % 2 else reversed(names):
            take(
                database,
                routes,
                identify(name, minute, own(SIX[minute], name)),
                identify(name + "b", minute, own(SIX[minute], name + "b")),
            )

    threads = [threading.Thread(target=receive, args=(minute,)) for minute in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in (*names, *(name + "b" for name in names)):
        assert properties(database, name) == own(TOGETHER, name)


def test_a_call_that_was_here_already_makes_no_profile(database, routes):
    take(database, routes, identify("u", 1, {"a": 1}))
    with database.writing() as connection:
        connection.execute(sa.delete(schema.profile))

    assert take(database, routes, identify("u", 1, {"a": 1})) == ["duplicate"]
    with database.reading() as connection:
        assert connection.execute(sa.select(schema.profile)).all() == []


_traits = st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers(0, 3), max_size=4)
_counter = itertools.count()


@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(
        st.tuples(st.integers(0, 59), _traits), max_size=6, unique_by=lambda each: each[0]
    ),
    data=st.data(),
)
def test_whatever_the_order_the_newest_value_of_each_trait_stays(database, routes, sent, data):
    customer = f"h{next(_counter)}"
    arriving = data.draw(st.permutations(sent))
    cut = data.draw(st.integers(0, len(sent)))
    for batch in filter(None, (arriving[:cut], arriving[cut:])):
        take(database, routes, *(identify(customer, minute, given) for minute, given in batch))

    newest = {}
    for _, given_traits in sorted(sent, key=lambda each: each[0]):
        newest.update(given_traits)
    found = customers(database).get(customer)
    assert (dict(found.metadata) if found else {}) == newest
