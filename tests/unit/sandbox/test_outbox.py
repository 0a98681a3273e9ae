"""The sandbox tells what happens, plays Reward, and stands in for Segment's Tracking API."""

import json
import re
import threading
from contextlib import contextmanager

import pytest
import requests

from destination.sandbox import create_app, listening
from tests.misbehaving import read_request, response, server
from tests.running import until

KEY, SECRET = "key", "secret"


@contextmanager
def receiving(*statuses):
    """An endpoint that keeps the bodies that arrive, and answers these statuses, then 200s."""
    arrived, left, lock = [], list(statuses), threading.Lock()

    def script(connection):
        while request := read_request(connection):
            with lock:
                arrived.append((request, json.loads(request.partition(b"\r\n\r\n")[2])))
                status = left.pop(0) if left else 200
            connection.sendall(response(status))

    with server(script) as url:
        yield url, arrived


@contextmanager
def engine(**webhooks):
    app = create_app(api_key=KEY, api_secret=SECRET, webhooks=webhooks)
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def invoke(url, name, who="ada", **metadata):
    body = {"event_name": name, "source_id": who, "metadata": metadata}
    answer = requests.post(f"{url}/events/invoke", json=body, auth=(KEY, SECRET), timeout=10)
    assert answer.status_code == 200


def upset(url, **mischief):
    return requests.post(f"{url}/_sandbox/webhooks", json=mischief, timeout=10)


def names(arrived):
    return [body["event_name"] for _, body in arrived]


def test_it_tells_of_a_customer_a_reward_and_a_credit_in_this_order():
    with receiving() as (address, arrived), engine(rehook=address) as url:
        invoke(url, "Order Completed", total=100)
        until(lambda: len(arrived) == 3)

    assert names(arrived) == ["customer.created", "customer.rewarded", "wallet.credited"]
    reward, credit = arrived[1][1]["metadata"], arrived[2][1]["metadata"]
    assert reward["wallet"]["transaction_id"] == credit["wallet"]["transaction_id"]
    assert (reward["points"], credit["points"], credit["wallet"]["type"]) == (10, 10, "credit")
    assert re.fullmatch(r"[\d-]+T[\d:]+\.\d{9}Z", reward["reward"]["redemption_date"])


def test_a_reward_that_you_are_to_pay_has_no_transaction():
    with receiving() as (address, arrived), engine(rehook=address) as url:
        invoke(url, "Review Submitted")
        until(lambda: len(arrived) == 2)

    assert arrived[1][1]["metadata"]["wallet"] == {"points": 0}
    assert arrived[1][1]["metadata"]["points"] == 20


def test_a_referral_is_told_of_both_and_rewarded_to_both():
    with receiving() as (address, arrived), engine(rehook=address) as url:
        invoke(url, "Other")
        code = requests.get(f"{url}/customers/ada", auth=(KEY, SECRET), timeout=10).json()
        invoke(url, "signup", "bob", referral_code=code["referral_code"])
        until(lambda: len(arrived) == 13)

    told = [body for _, body in arrived if body["source_id"] == "ada"][3:]
    assert [body["event_name"] for body in told] == [
        "customer.referral.successfull.advocate",
        "customer.rewarded",
        "wallet.credited",
    ]
    redemption = told[1]["metadata"]["reward"]["redemption_id"]
    assert told[0]["metadata"]["RedemptionId"] == redemption
    friend = next(b for _, b in arrived if b["event_name"].endswith("successfull.friend"))
    assert friend["metadata"]["AdvocateId"] == "NA"


def test_an_apps_own_event_is_told_with_its_properties():
    with receiving() as (address, arrived), engine(rehook=address) as url:
        invoke(url, "order_success", total_amount="250", mode="CARD")
        until(lambda: len(arrived) == 4)

    assert names(arrived)[1] == "order_success"
    assert arrived[1][1]["metadata"] == {"total_amount": "250", "mode": "CARD"}


def test_the_address_holds_the_credentials():
    with receiving() as (address, arrived):
        there = address.replace("http://", "http://user:word@")
        with engine(rehook=there) as url:
            invoke(url, "Nothing")
            until(lambda: arrived)

    assert b"Authorization: Basic dXNlcjp3b3Jk" in arrived[0][0]


def test_a_webhook_that_is_not_answered_2xx_is_sent_again():
    with receiving(503, 500) as (address, arrived), engine(rehook=address) as url:
        requests.post(f"{url}/customers", json={"source_id": "ada"}, auth=(KEY, SECRET), timeout=10)
        until(lambda: len(arrived) == 3)
        [told] = requests.get(f"{url}/_sandbox/webhooks", timeout=10).json()

    assert told["answers"][:2] == [503, 500]
    assert arrived[0][1] == arrived[2][1]


@pytest.mark.parametrize(
    ("mischief", "expected"),
    [
        ({"repeat": 1}, ["customer.created"] * 2 + ["customer.rewarded", "wallet.credited"]),
        (
            {"reorder": True, "count": 3},
            ["wallet.credited", "customer.rewarded", "customer.created"],
        ),
        ({"delay": 0.1, "count": 2}, ["customer.created", "customer.rewarded", "wallet.credited"]),
    ],
)
def test_webhooks_can_be_upset(mischief, expected):
    with receiving() as (address, arrived), engine(rehook=address) as url:
        assert upset(url, **mischief).status_code == 201
        invoke(url, "Nothing")
        until(lambda: len(arrived) == len(expected))

    assert names(arrived) == expected


@pytest.mark.parametrize(
    "mischief",
    [{}, {"repeat": -1}, {"repeat": True}, {"delay": "1"}, {"reorder": 1}, {"count": 0}, {"x": 1}],
)
def test_a_mischief_that_cannot_be_is_explained(mischief):
    with engine() as url:
        answer = upset(url, **mischief)

    assert answer.status_code == 400
    assert answer.json()["message"]


def test_without_an_address_webhooks_are_only_listed():
    with engine() as url:
        invoke(url, "Nothing")
        told = requests.get(f"{url}/_sandbox/webhooks", timeout=10).json()
        requests.post(f"{url}/_sandbox/reset", timeout=10)
        after = requests.get(f"{url}/_sandbox/webhooks", timeout=10).json()

    assert [(each["sender"], each["answers"]) for each in told] == [("rehook", [])] * 3
    assert after == []


def fire(url, body, key=KEY):
    return requests.post(
        f"{url}/v1/triggers/big%2Forder/users/a%2Fb/events",
        json=body,
        headers={"Authorization": f"Bearer {key}"},
        timeout=10,
    )


def test_it_plays_reward():
    with receiving() as (address, arrived), engine(reward=address) as url:
        answer = fire(url, {"value": 19.99})
        until(lambda: len(arrived) == 2)

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (_, fired), (_, issued) = arrived
    assert fired["type"] == "trigger_event.created"
    assert fired["data"] == {
        "user": {"id": "a/b"},
        "value": 19.99,
        "trigger": {"id": "big/order"},
    }
    assert issued["data"]["transaction"]["amount"] == 19


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [({}, KEY, 200), ({}, "no", 401), ([], KEY, 400), ({"value": "x"}, KEY, 400)],
)
def test_reward_answers_in_its_own_shape(body, key, status):
    with engine() as url:
        answer = fire(url, body, key)

    assert answer.status_code == status
    assert list(answer.json()) == (["success"] if status == 200 else ["error"])


def test_the_tracking_api_keeps_a_call_once():
    call = {"type": "track", "userId": "u", "event": "A", "messageId": "m"}
    with engine() as url:
        for path, body in [("track", call), ("track", call), ("batch", {"batch": [call, {}]})]:
            answer = requests.post(f"{url}/v1/{path}", json=body, auth=(KEY, ""), timeout=10)
            assert answer.status_code == 200
        assert requests.get(f"{url}/_sandbox/tracked", timeout=10).json() == [call]


@pytest.mark.parametrize(
    ("path", "body", "auth", "status"),
    [
        ("track", {}, ("no", ""), 401),
        ("identify", [], (KEY, ""), 400),
        ("batch", {"batch": 5}, (KEY, ""), 400),
        ("track", {"userId": "u", "text": "x" * 33_000}, (KEY, ""), 400),
    ],
)
def test_what_the_tracking_api_does_not_take(path, body, auth, status):
    with engine() as url:
        answer = requests.post(f"{url}/v1/{path}", json=body, auth=auth, timeout=10)
        assert requests.get(f"{url}/_sandbox/tracked", timeout=10).json() == []

    assert answer.status_code == status
