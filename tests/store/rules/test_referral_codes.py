"""Whose a referral code is, when several want it; and who signs up with its own."""

import threading

import pytest
import requests
import sqlalchemy as sa

from destination.routing.route import arrive
from destination.store import schema
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from tests.conftest import KEY
from tests.running import service


@pytest.fixture
def take(database, setup):
    """Takes calls in at once; what becomes of each: its reason, or `accepted`."""

    def take(*calls, **settings):
        routes = setup(REHOOK_CONVERSION_EVENTS="signup", **settings).routes()
        outcomes = enqueue(database, [arrive(call, "segment", routes) for call in calls])
        return [outcome.reason or outcome.outcome for outcome in outcomes]

    return take


def identify(customer, code, minute=0):
    return {
        "type": "identify",
        "messageId": f"{customer}-{code}-{minute}",
        "userId": customer,
        "timestamp": f"2026-03-14T09:{minute:02}:00Z",
        "traits": {"referral_code": code},
    }


def sign_up(customer, code, event="signup"):
    return {
        "type": "track",
        "messageId": f"{customer}-{code}-{event}",
        "userId": customer,
        "event": event,
        "properties": {"referral_code": code},
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_fifty_customers_claim_one_code_over_four_processes_and_one_wins(kind, request, tmp_path):
    settings = {}
    if kind == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("postgres")()
    with service(tmp_path, **settings) as running:
        running.serve()
        urls = [running.url, *running.serve_beside(3)]
        barrier = threading.Barrier(50)
        told = {}

        def claim(number):
            barrier.wait()
            url = f"{urls[number % 4]}/webhooks/segment"
            answer = requests.post(
                url, json=identify(f"u{number}", "CODE"), auth=(KEY, ""), timeout=60
            )
            [told[number]] = answer.json()["results"]

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        reasons = [result["reason"] for result in told.values()]
        assert sorted(reasons, key=str) == [None] + ["referral_code_taken"] * 49
        [winner] = [f"u{number}" for number, result in told.items() if result["reason"] is None]
        [delivery] = running.deliveries().values()
        assert delivery["lane"] == winner


def test_a_customer_may_change_to_a_free_code(take):
    assert take(identify("ada", "ONE"), identify("ada", "TWO", 1)) == ["accepted"] * 2
    assert take(identify("ada", "ONE", 2)) == ["accepted"]


def test_the_old_code_stays_its_own(take):
    take(identify("ada", "ONE"), identify("ada", "TWO", 1))

    assert take(identify("bob", "ONE"), identify("bob", "TWO")) == ["referral_code_taken"] * 2


def test_the_old_code_becomes_free_where_a_setting_says_so(take):
    take(identify("ada", "ONE"), OLD_CODES="free")
    take(identify("ada", "TWO", 1), OLD_CODES="free")

    assert take(identify("bob", "TWO"), identify("bob", "ONE"), OLD_CODES="free") == [
        "referral_code_taken",
        "accepted",
    ]
    assert take(identify("ada", "ONE", 2), OLD_CODES="free") == ["referral_code_taken"]


def test_within_a_batch_the_last_code_of_a_customer_is_kept(take):
    take(identify("ada", "ONE"), identify("ada", "TWO", 1), OLD_CODES="free")

    assert take(identify("bob", "ONE"), identify("eve", "TWO")) == [
        "accepted",
        "referral_code_taken",
    ]


def test_a_code_that_was_not_given_frees_none(take):
    take(identify("ada", "ONE"), identify("bob", "TWO"), OLD_CODES="free")
    take(identify("bob", "ONE", 1), OLD_CODES="free")

    assert take(identify("eve", "TWO")) == ["referral_code_taken"]


def test_an_old_code_that_arrives_late_frees_no_newer_one(take):
    take(identify("ada", "TWO", 1), OLD_CODES="free")
    take(identify("ada", "ONE", 0), OLD_CODES="free")

    assert take(identify("bob", "TWO")) == ["referral_code_taken"]


def test_a_sign_up_with_ones_own_code_is_dropped(take, database):
    take(identify("ada", "ADA"), identify("ada", "NEW", 1), identify("bob", "BOB"))

    assert take(
        sign_up("ada", "ADA"),
        sign_up("ada", "NEW"),
        sign_up("ada", "BOB"),
        sign_up("ada", "NOBODY"),
        sign_up("ada", ""),
        sign_up("ada", None),
    ) == ["self_referral", "self_referral", "accepted", "accepted", "accepted", "accepted"]
    [discard, _] = lists.discards(database)
    assert discard["detail"] == "The customer signs up with a referral code of its own."


def test_the_code_and_the_sign_up_may_come_together(take):
    assert take(sign_up("ada", 12), identify("ada", "12")) == ["self_referral", "accepted"]


def test_only_a_conversion_event_is_a_sign_up(take):
    take(identify("ada", "ADA"))

    assert take(sign_up("ada", "ADA", "Code Shared")) == ["accepted"]


def test_a_sign_up_that_is_dropped_has_not_been_paid(take, database):
    take(identify("ada", "ADA"))
    take(sign_up("ada", "ADA"))

    with database.reading() as connection:
        assert connection.execute(sa.select(schema.award)).all() == []
