"""Segment as a destination: what is sent to the Tracking API, and what is not even tried."""

import json

import pytest
from marshmallow import ValidationError

from destination.partners.segment import Segment, SegmentSettings, Tracking
from destination.partners.segment.destination import (
    MAX_BATCH_BYTES,
    MAX_BATCH_CALLS,
    MAX_CALL_BYTES,
)
from destination.routing.route import arrive

TRACKING = Tracking(SegmentSettings(tracking_key="key"))
TRACK, IDENTIFY = TRACKING.actions["track"], TRACKING.actions["identify"]
EARNED = {
    "user_id": "u1",
    "event": "Reward Earned",
    "properties": {"points": 10},
    "timestamp": "2026-03-14T10:08:06.614Z",
    "message_id": "customer.rewarded:redm_1",
}


def requests(fields, action=TRACK):
    payload = action.fields.payload(fields)
    return list(action.requests(payload))


def body(fields, action=TRACK):
    [request] = requests(fields, action)
    return json.loads(request.body)


def test_a_reward_is_a_track_call_with_our_id_time_and_mark():
    [request] = requests(EARNED)
    sent = json.loads(request.body)

    assert (request.method, request.path, request.idempotent) == ("POST", "/v1/track", True)
    assert len(sent.pop("messageId")) <= 100
    assert sent == {
        "type": "track",
        "userId": "u1",
        "event": "Reward Earned",
        "properties": {"points": 10},
        "timestamp": "2026-03-14T10:08:06.614Z",
        "context": {"integration": {"name": "loyalty-destination"}},
        "integrations": {
            "All": True,
            "Rehook": False,
            "Webhooks (Actions)": False,
            "Webhook": False,
            "Webhooks": False,
            "Extensible Webhook": False,
        },
    }


def test_an_identify_keeps_traits():
    fields = {"user_id": "u1", "traits": {"points_balance": 140}, "message_id": "m"}
    [request] = requests(fields, IDENTIFY)

    assert request.path == "/v1/identify"
    assert body(fields, IDENTIFY)["traits"] == {"points_balance": 140}


def test_sent_again_it_has_the_same_id():
    assert requests(EARNED) == requests(EARNED)


@pytest.mark.parametrize(
    "change", [{"message_id": "other"}, {"event": "Other"}, {"properties": {}}, {"user_id": "u2"}]
)
def test_another_call_has_another_id_though_it_is_of_the_same_event(change):
    assert body({**EARNED, **change})["messageId"] != body(EARNED)["messageId"]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://api.segment.io"),
        ({"region": "eu"}, "https://events.eu1.segmentapis.com"),
        ({"region": "eu", "tracking_url": "https://proxy.example"}, "https://proxy.example"),
    ],
)
def test_the_address_is_the_regions_unless_another_is_set(settings, url):
    assert Tracking(SegmentSettings(**settings)).url == url


def test_requests_carry_the_write_key_without_a_password():
    assert TRACKING.headers() == {"Authorization": "Basic a2V5Og=="}


def test_without_a_write_key_it_is_not_in_use():
    assert not Tracking(SegmentSettings()).in_use


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": " "}, "user_id"),
        ({"event": ""}, "event"),
        ({"event": "  "}, "event"),
        ({"properties": []}, "properties"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 5}, "timestamp"),
        ({"message_id": None}, "message_id"),
    ],
)
def test_what_segment_would_drop_in_silence_is_named_before_it_is_sent(change, wrong):
    with pytest.raises(ValidationError) as error:
        TRACK.fields.payload({**EARNED, **change})

    assert list(error.value.messages_dict) == [wrong]


@pytest.mark.parametrize("character", ["x", "ü", "李"])
def test_a_call_larger_than_segment_takes_is_not_sent(character):
    def dropped(count):
        assert TRACK.rule
        payload = TRACK.fields.payload({**EARNED, "properties": {"text": character * count}})
        size = len(TRACK.requests(payload)[0].body.encode())
        return size, TRACK.rule(payload)

    empty, _ = dropped(0)
    fits = (MAX_CALL_BYTES - empty) // len(character.encode())
    assert dropped(fits)[1] is None
    size, discard = dropped(fits + 1)
    assert size > MAX_CALL_BYTES
    assert discard.reason == "payload_validation_failed"
    assert "32,768" in discard.detail


def many(count, size):
    fields = {**EARNED, "properties": {"text": "x" * size}}
    return [requests({**fields, "message_id": f"m{n}"})[0] for n in range(count)]


def test_a_batch_has_the_calls_in_their_order():
    found = many(3, 10)
    batch, taken = TRACKING.batch(found)

    assert (batch.path, batch.idempotent, taken) == ("/v1/batch", True, 3)
    assert json.loads(batch.body or "") == {"batch": [json.loads(each.body) for each in found]}


def test_a_batch_keeps_within_segments_limits():
    large, taken = TRACKING.batch(many(40, 30_000))
    assert taken == len(json.loads(large.body or "")["batch"])
    assert MAX_BATCH_BYTES - MAX_CALL_BYTES < len(large.body.encode()) <= MAX_BATCH_BYTES

    small = requests({"user_id": "u", "event": "e", "message_id": "m"})[0]
    assert TRACKING.batch([small] * 3000)[1] <= MAX_BATCH_CALLS


def test_what_we_sent_is_discarded_when_it_comes_round_again(setup):
    round_again = {**body(EARNED), "integrations": {}, "messageId": "another"}
    routes = setup().routes()
    [call], _ = Segment(SegmentSettings()).calls(json.dumps(round_again).encode())
    arrived = arrive(call, "segment", routes)

    assert arrived.deliveries == ()
    assert [discard.reason for discard in arrived.discards] == ["loop"]


@pytest.mark.parametrize("context", [None, [], {}, {"integration": {}}, {"integration": "x"}])
def test_any_other_context_is_no_loop(context, setup):
    call = {"type": "track", "userId": "u", "event": "A", "context": context}

    assert arrive(call, "segment", setup().routes()).deliveries
