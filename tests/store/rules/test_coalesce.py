"""Of several audience updates of a customer that wait, only the newest is sent."""

import itertools
import json
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from destination.model.delivery import Status
from destination.model.verdict import Verdict
from destination.store import schema
from destination.store.queries import lists, reconcile
from destination.store.queries.filters import Filter
from destination.store.replay.replay import Kind, find, replay
from destination.store.replay.retry import send_again
from destination.store.rules import coalesce
from tests.conftest import ROOT
from tests.leasing import acknowledge, lease, outcome
from tests.store.rules.test_stale_traits import identify, take

ENGAGE = {"personas": {"computation_class": "audience", "computation_key": "vip"}}


@pytest.fixture
def routes(setup):
    return setup().routes()


def update(minute, customer="u", **given):
    """An audience tells of a customer."""
    return identify(customer, minute, given, context=ENGAGE, messageId=f"{customer}-{minute}")


def purchase(minute, customer="u"):
    return {
        "type": "track",
        "messageId": f"{customer}-{minute}",
        "userId": customer,
        "event": "Order Completed",
        "properties": {"order_id": minute},
    }


def drain(database, customer=None):
    """Send all that waits, as a worker does; the bodies in the order in which they left."""
    sent, done = [], []
    while leases := lease(database, 200, done):
        sent += [json.loads(leased.payload) for leased in leases]
        done = [outcome(leased) for leased in leases]
    return [body for body in sent if customer in (None, body["source_id"])]


def told(sent):
    """What the engine was told, without whom it is about."""
    return [body.get("event_name") or body["metadata"] for body in sent]


def discards(database):
    found = [(row["message_id"], row["reason"]) for row in lists.discards(database)]
    return sorted(found)


def test_the_newest_of_those_that_wait_is_sent(database, routes):
    for minute in range(5):
        assert take(database, routes, update(minute, vip=minute % 2 == 0)) == ["accepted"]

    assert told(drain(database)) == [{"vip": True}]
    assert discards(database) == [(f"u-{minute}", "superseded") for minute in range(4)]


def test_of_those_in_one_batch_too(database, routes):
    calls = [update(minute, vip=minute) for minute in range(3)]

    assert take(database, routes, *calls) == ["superseded", "superseded", "accepted"]
    assert told(drain(database)) == [{"vip": 2}]


def test_it_says_by_which_event(database, routes):
    take(database, routes, update(1, vip=True))
    take(database, routes, update(2, vip=False))

    [discard] = lists.discards(database)
    newest = max(row["id"] for row in lists.events(database))
    assert discard["detail"].startswith(f"Event {newest} ")
    assert discard["mapping"] == "Identify User"


def test_the_newest_is_the_one_that_happened_last(database, routes):
    take(database, routes, update(2, vip=2))

    assert take(database, routes, update(1, vip=1)) == ["stale"]
    assert told(drain(database)) == [{"vip": 2}]


def test_what_is_left_of_a_late_one_supersedes_nothing_newer(database, routes):
    take(database, routes, update(2, vip=2))
    take(database, routes, update(1, vip=1, big=1))

    assert told(drain(database)) == [{"vip": 2}, {"big": 1}]


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        ({"a": 1}, {"b": 2}, [{"a": 1}, {"b": 2}]),
        ({"a": 1, "b": 1}, {"a": 2}, [{"a": 1, "b": 1}, {"a": 2}]),
        ({"a": 1}, {"a": 2, "b": 2}, [{"a": 2, "b": 2}]),
        ({"a": 1}, {"a": None}, [{"a": None}]),
        ({}, {"a": 1}, [{}, {"a": 1}]),
    ],
)
def test_all_of_its_traits_must_be_set_anew(database, routes, before, after, sent):
    take(database, routes, update(1, **before))
    take(database, routes, update(2, **after))

    assert told(drain(database)) == sent


def test_an_update_is_superseded_past_updates_of_other_traits(database, routes):
    take(database, routes, update(1, a=1), update(2, b=2), update(3, a=3))

    assert told(drain(database)) == [{"b": 2}, {"a": 3}]


def test_a_purchase_between_two_updates_keeps_both(database, routes):
    """What it earns may depend on who the customer was then."""
    take(database, routes, update(1, vip=True))
    take(database, routes, purchase(2))
    take(database, routes, update(3, vip=False))
    take(database, routes, update(4, vip=None))

    assert told(drain(database)) == [{"vip": True}, "Order Completed", {"vip": None}]


def test_what_an_update_awards_keeps_it(database, tmp_path, setup):
    folder = tmp_path / "mappings" / "segment-to-rehook"
    folder.mkdir(parents=True)
    preset = (ROOT / "mappings" / "segment-to-rehook" / "identify-user.yaml").read_text()
    (folder / "a.yaml").write_text(preset)
    (folder / "b.yaml").write_text(
        "name: VIP\naction: trackEvent\n"
        'trigger: type = "identify" and traits.vip = true\n'
        "fields: {event_name: joined, source_id: $.userId}\n"
    )
    routes = setup(MAPPINGS=str(folder.parent)).routes()
    take(database, routes, update(1, vip=False), update(2, vip=True), update(3, vip=False))

    assert told(drain(database)) == [{"vip": True}, "joined", {"vip": False}]


def test_an_identify_of_an_app_is_sent_whatever_comes(database, routes):
    take(database, routes, identify("u", 1, {"vip": 1}))
    take(database, routes, update(2, vip=2))
    take(database, routes, identify("u", 3, {"vip": 3}))

    assert told(drain(database)) == [{"vip": 1}, {"vip": 2}, {"vip": 3}]


def test_one_that_brings_a_referral_code_is_sent(database, routes):
    take(database, routes, update(1, a=1, referral_code="MINE"))
    take(database, routes, update(2, a=2, referral_code="OTHER"))

    codes = [body["referral_code"] for body in drain(database)]
    assert codes == ["MINE", "OTHER"]


def test_it_is_about_one_customer(database, routes):
    take(database, routes, update(1, "u", a=1), update(2, "v", a=2))

    assert len(drain(database)) == 2


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.HOLD, None])
def test_one_that_has_been_under_way_is_sent(database, routes, verdict):
    take(database, routes, update(1, vip=1))
    [leased] = lease(database)
    if verdict:
        acknowledge(database, outcome(leased, verdict))
    take(database, routes, update(2, vip=2))

    assert discards(database) == []
    statuses = [row["status"] for row in lists.deliveries(database)]
    assert statuses == ["pending", "pending" if verdict else "sending"]


def test_one_that_is_sent_again_by_hand_keeps_its_place_and_is_not_superseded(database, routes):
    take(database, routes, update(1, vip=1))
    acknowledge(database, *(outcome(each, Verdict.REJECTED) for each in lease(database)))
    send_again(
        database, [row["id"] for row in lists.deliveries(database)], Status.FAILED, destinations={}
    )
    take(database, routes, update(2, vip=2))

    assert told(drain(database)) == [{"vip": 1}, {"vip": 2}]


def test_the_same_call_again_is_answered_with_the_reason(database, routes):
    calls = [update(1, vip=1), update(2, vip=2)]
    for call in calls:
        take(database, routes, call)

    assert take(database, routes, *calls) == ["superseded", "duplicate"]
    assert told(drain(database)) == [{"vip": 2}]


def test_it_is_neither_missing_nor_sent_by_a_replay(database, routes):
    take(database, routes, update(1, vip=1))
    take(database, routes, update(2, vip=2))
    drain(database)

    found = reconcile.outcomes(database, "segment", ["u-1", "u-2"])
    assert found == {"u-1": ("discarded", "superseded"), "u-2": ("delivered", None)}
    ids = find(database, Kind.DISCARDED, Filter())
    assert replay(database, Kind.DISCARDED, ids, routes) == [("discarded", "stale")]


def test_of_the_same_time_a_replay_does_not_send_the_earlier_one(database, routes):
    for number in (1, 2):
        take(database, routes, {**update(1, vip=number), "messageId": f"m{number}"})
    drain(database)

    ids = find(database, Kind.DISCARDED, Filter())
    assert replay(database, Kind.DISCARDED, ids, routes) == [("discarded", "stale")]


def test_where_late_traits_are_sent_every_update_is(database, setup):
    routes = setup(STALE_TRAITS="send").routes()
    take(database, routes, update(1, vip=1), update(2, vip=2))

    assert len(drain(database)) == 2


def test_of_a_long_lane_the_end_is_looked_at(database, routes):
    many = coalesce.LOOK_BACK + 10
    take(database, routes, *(update(minute, **{f"t{minute}": 1}) for minute in range(many)))
    take(database, routes, update(50, **{f"t{many - 1}": 2}))
    take(database, routes, update(51, t0=2))

    assert discards(database) == [(f"u-{many - 1}", "superseded")]


def test_what_is_not_bulk_asks_no_more_of_the_database(database, routes):
    ran = []
    take(database, routes, identify("u", 1, {"a": 1}))
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda *arguments: ran.append(arguments[2])
    )
    take(database, routes, identify("u", 2, {"a": 2}), purchase(3))

    assert not [statement for statement in ran if "earlier" in statement]


def test_receivers_and_a_worker_at_once_end_in_the_newest(database, routes):
    names = [f"u{n}" for n in range(6)]
    barrier = threading.Barrier(4)
    sent, finished = [], threading.Event()

    def receive(own):
        barrier.wait()
        for minute in range(own, 30, 3):
            take(database, routes, *(update(minute, name, vip=minute) for name in names))

    def work():
        barrier.wait()
        done = []
        while not finished.is_set() or done:
            leases = lease(database, 3, done)
            sent.extend(json.loads(leased.payload) for leased in leases)
            done = [outcome(leased) for leased in leases]

    threads = [threading.Thread(target=receive, args=(own,)) for own in range(3)]
    worker = threading.Thread(target=work)
    for thread in (*threads, worker):
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    worker.join()
    sent += drain(database)
    for name in names:
        own = [body["metadata"]["vip"] for body in sent if body["source_id"] == name]
        assert own[-1] == 29
        kept = [row for row in lists.events(database) if row["message_id"].startswith(f"{name}-")]
        assert len(kept) == 30
    table = schema.delivery
    with database.reading() as connection:
        made = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    assert made == len(sent)


_counter = itertools.count()
_traits = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3)
_call = st.tuples(
    st.sampled_from(["update", "update", "update", "identify", "purchase"]),
    st.integers(0, 12),
    _traits,
)


def _told(customer, number, sort, minute, given):
    if sort == "purchase":
        return {**purchase(minute, customer), "messageId": f"{customer}-{number}"}
    changes = {"context": ENGAGE} if sort == "update" else {}
    return identify(customer, minute, given, messageId=f"{customer}-{number}", **changes)


def states(sent):
    """The customer's traits in the end, and at each of its purchases."""
    now, then = {}, []
    for body in sent:
        if "event_name" in body:
            then.append(dict(now))
        else:
            now |= body["metadata"]
    return now, then


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(
        st.tuples(st.lists(_call, min_size=1, max_size=4), st.integers(0, 3)), max_size=6
    )
)
def test_whatever_comes_when_the_engine_ends_as_if_all_were_sent_in_order(database, routes, turns):
    """Superseded or not: the same traits in the end, and at each purchase."""
    run = next(_counter)
    spare, all_sent = f"s{run}", f"a{run}"
    # As apps send them, they are not bulk, and all of them are sent.
    number = itertools.count()
    sent = []
    for calls, works in turns:
        numbered = [(next(number), *call) for call in calls]
        take(database, routes, *(_told(spare, *call) for call in numbered))
        plain = [
            (n, "identify" if sort == "update" else sort, *rest) for n, sort, *rest in numbered
        ]
        take(database, routes, *(_told(all_sent, *call) for call in plain))
        for _ in range(works):  # one at a time of the customer's
            leases = lease(database, 50)
            acknowledge(database, *map(outcome, leases))
            sent += [json.loads(leased.payload) for leased in leases]
    sent += drain(database)

    own = {
        name: states([body for body in sent if body["source_id"] == name])
        for name in (spare, all_sent)
    }
    assert own[spare] == own[all_sent]
