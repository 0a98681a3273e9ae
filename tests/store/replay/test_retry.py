"""What failed and is sent again does not set back what is newer."""

import json

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.model.delivery import Status
from destination.store import database as databases
from destination.store.queries import lists
from destination.store.replay.retry import send_again
from tests.store.replay.test_replay import drain, order, rejected, replay
from tests.store.rules.test_stale_traits import identify, take


@pytest.fixture
def routes(database, setup, monkeypatch):
    monkeypatch.setattr(databases, "connect", lambda _: database)
    return setup().routes()


def retry(*options):
    command = ["deliveries", "retry", *(options or ["--all"])]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def failed(database, routes, *calls):
    """Calls that the engine refused."""
    take(database, routes, *calls)
    drain(database, rejected)


def delivered(database, routes, *calls):
    take(database, routes, *calls)
    drain(database)


def metadata(database):
    """What is sent of all that waits."""
    return [payload.get("metadata") for payload in drain(database)]


def standing(database):
    rows = sorted(lists.deliveries(database), key=lambda row: row["id"])
    return [(row["status"], row["reason"]) for row in rows]


def test_a_failed_identify_sends_only_the_traits_that_nothing_newer_has_set(database, routes):
    failed(database, routes, identify("u", 1, {"tier": "silver", "city": "Paris"}))
    delivered(database, routes, identify("u", 2, {"tier": "gold"}))

    assert "1 will be sent again." in retry().output
    assert metadata(database) == [{"city": "Paris"}]


def test_one_of_which_nothing_is_left_stays_failed_as_stale(database, routes):
    failed(database, routes, identify("u", 1, {"tier": "silver"}))
    delivered(database, routes, identify("u", 2, {"tier": "gold"}))

    assert "0 will be sent again." in retry().output
    assert standing(database)[0] == ("failed", "stale")
    [number] = [row["id"] for row in lists.deliveries(database) if row["status"] == "failed"]
    assert retry(str(number)).exit_code == 1
    assert metadata(database) == []


@pytest.mark.parametrize("kind", ["retry", "replay"])
def test_one_that_is_the_newest_is_sent_as_it_was(database, routes, kind):
    delivered(database, routes, identify("u", 1, {"tier": "silver"}))
    failed(database, routes, identify("u", 2, {"tier": "gold", "city": None}))

    for _ in range(2):
        assert retry().exit_code == 0 if kind == "retry" else replay("--failed").exit_code == 0
        sent = [json.loads(json.dumps(payload)) for payload in drain(database, rejected)]
        assert [payload["metadata"] for payload in sent] == [{"tier": "gold", "city": None}]


@pytest.mark.parametrize("kind", ["retry", "replay"])
def test_of_two_with_the_same_time_the_earlier_one_is_not_sent_over_the_later(
    database, routes, kind
):
    failed(database, routes, identify("u", 1, {"tier": "silver"}))
    delivered(database, routes, identify("u", 1, {"tier": "gold"}, messageId="later"))

    assert retry().exit_code == 0 if kind == "retry" else replay("--failed").exit_code == 0
    assert metadata(database) == []


def test_a_replay_of_what_failed_does_the_same(database, routes):
    failed(database, routes, identify("u", 1, {"tier": "silver", "city": "Paris"}))
    failed(database, routes, identify("v", 1, {"tier": "silver"}))
    delivered(database, routes, identify("u", 2, {"tier": "gold"}))
    delivered(database, routes, identify("v", 2, {"tier": "gold"}))

    for options in (["--dry-run"], []):
        result = replay("--failed", *options)
        assert "1 of 2 failed deliveries" in result.output
        assert "stale" in result.output
    assert metadata(database) == [{"city": "Paris"}]


def test_what_is_settled_as_not_sent_does_the_same(database, routes):
    """No customer's delivery is uncertain today: another engine's may be."""
    failed(database, routes, identify("u", 1, {"tier": "silver", "city": "Paris"}))
    delivered(database, routes, identify("u", 2, {"tier": "gold"}))
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE delivery SET status='uncertain' WHERE status='failed'")

    command = ["deliveries", "settle", "--retry", "--all"]
    CliRunner().invoke(main, command, catch_exceptions=False)
    assert metadata(database) == [{"city": "Paris"}]


def test_a_referral_code_that_something_newer_has_set_is_left_out(database, routes):
    failed(database, routes, identify("u", 1, {"a": 1, "referral_code": "OLD"}))
    delivered(database, routes, identify("u", 2, {"referral_code": "NEW"}))

    retry()
    assert drain(database) == [{"source_id": "u", "metadata": {"a": 1}}]


def test_a_failed_award_is_sent_as_it_was_whatever_is_newer(database, routes):
    failed(database, routes, order(1, "u", tier="silver"))
    delivered(database, routes, identify("u", 59, {"tier": "gold", "number": 2}))

    retry()
    assert metadata(database) == [{"number": 1, "tier": "silver"}]


def test_two_that_failed_of_one_customer_end_in_the_newer_one(database, routes):
    failed(database, routes, identify("u", 2, {"a": 2, "b": 2}), identify("u", 1, {"a": 1, "c": 1}))

    retry()
    assert metadata(database) == [{"a": 2, "b": 2}, {"c": 1}]


def test_a_setting_sends_them_all_the_same(database, routes, setup):
    failed(database, routes, identify("u", 1, {"a": 1}))
    delivered(database, routes, identify("u", 2, {"a": 2}))
    setup(STALE_TRAITS="send")

    retry()
    assert metadata(database) == [{"a": 1}]


def test_a_stale_one_leaves_its_lane_at_rest(database, routes):
    failed(database, routes, identify("u", 1, {"a": 1}))
    delivered(database, routes, identify("u", 2, {"a": 2}))
    ids = [row["id"] for row in lists.deliveries(database)]

    assert send_again(database, ids, Status.FAILED, destinations=routes.clocked) == set()
    with database.reading() as connection:
        ready = connection.exec_driver_sql("SELECT ready_at FROM lane").scalars().all()
    assert ready == [None]
