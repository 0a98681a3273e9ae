"""Reward: an event fires a trigger, and what it earns comes back by webhook."""

import json

import pytest
from marshmallow import ValidationError

from destination.errors import Unauthorized
from destination.partners.base.body import Body
from destination.partners.reward import Reward, RewardSettings, RewardWebhook

TRIGGER = Reward(RewardSettings()).actions["triggerEvent"]


def request(**fields):
    return TRIGGER.requests(TRIGGER.fields.payload(fields))[0]


def test_an_event_is_sent_as_rewards_page_shows_it():
    found = request(trigger_id="successful_payment", user_id="user123", value=19.99)

    assert (found.method, found.path) == (
        "POST",
        "/v1/triggers/successful_payment/users/user123/events",
    )
    assert (found.body, found.idempotent) == ('{"value":19.99}', False)


def test_requests_carry_the_key():
    headers = Reward(RewardSettings(api_key="sk_test_x")).headers()

    assert headers == {"Authorization": "Bearer sk_test_x"}


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ("a/b", "a%2Fb"),
        ("KMN@123", "KMN%40123"),
        ("ä 李", "%C3%A4%20%E6%9D%8E"),
        ("a%2Fb", "a%252Fb"),
        ("../admin", "..%2Fadmin"),
        ("?x=1#y", "%3Fx%3D1%23y"),
    ],
)
def test_an_id_is_encoded_whole(user, path):
    assert request(trigger_id="t", user_id=user).path == f"/v1/triggers/t/users/{path}/events"
    assert request(trigger_id=user, user_id="u").path == f"/v1/triggers/{path}/users/u/events"


@pytest.mark.parametrize("name", ["trigger_id", "user_id"])
@pytest.mark.parametrize("dots", [".", ".."])
def test_an_id_that_would_be_another_path_is_not_sent(name, dots):
    payload = TRIGGER.fields.payload({"trigger_id": "t", "user_id": "u", name: dots})

    assert TRIGGER.rule
    assert TRIGGER.rule(payload).reason == "payload_validation_failed"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, "{}"),
        ({"value": "19.99"}, '{"value":19.99}'),
        ({"value": 0}, '{"value":0}'),
        ({"value": None}, "{}"),
        ({"properties": {"a": 1}, "value": 2}, '{"a":1,"value":2}'),
        ({"properties": {"value": 1}, "value": 2}, '{"value":2}'),
        ({"properties": {"value": 1}}, '{"value":1}'),
    ],
)
def test_the_value_stands_among_the_properties(fields, body):
    assert request(trigger_id="t", user_id="u", **fields).body == body


@pytest.mark.parametrize("value", ["many", "NaN", True, [], {}, "1e999"])
def test_a_value_is_a_number(value):
    with pytest.raises(ValidationError) as error:
        request(trigger_id="t", user_id="u", value=value)

    assert error.value.messages_dict == {"value": ["must be a number"]}


DATA = {"user": {"id": "u1"}, "transaction": {"id": "txn_1", "amount": 20}}

ISSUED = {
    "id": "we_1",
    "type": "balance.credit_points_issued",
    "time": "2026-03-14T09:26:53.589Z",
    "data": DATA,
}


def webhook(**settings):
    return RewardWebhook(RewardSettings(**settings), clock=lambda: 1_800_000_000.0)


def call(notice):
    [found], _ = webhook().calls(json.dumps(notice).encode())
    return found


def test_points_that_were_issued_are_a_track_call_of_the_user():
    assert call(ISSUED) == {
        "type": "track",
        "event": "balance.credit_points_issued",
        "userId": "u1",
        "messageId": "we_1",
        "timestamp": "2026-03-14T09:26:53.589Z",
        "receivedAt": "2027-01-15T08:00:00.000Z",
        "properties": {**DATA, "payout": "engine"},
    }


@pytest.mark.parametrize("given", [None, "", {}, True, "x" * 300])
def test_a_notice_without_an_id_of_use_is_known_by_its_content(given):
    notice = {**ISSUED, "id": given}

    assert call(notice)["messageId"].startswith("derived-")
    assert call(notice)["messageId"] == call(notice)["messageId"]


@pytest.mark.parametrize("authorization", ["Bearer abc", "Basic YWJjOg=="])
def test_the_token_lets_in(authorization):
    webhook(webhook_token="abc").authenticate({"Authorization": authorization}, Body(raw=b""))


@pytest.mark.parametrize("authorization", ["", "Bearer abd", "Bearer", "Basic YWJj!"])
def test_without_the_token_nobody_is_let_in(authorization):
    with pytest.raises(Unauthorized, match=r"\?token="):
        webhook(webhook_token="abc").authenticate({"Authorization": authorization}, Body(raw=b""))
