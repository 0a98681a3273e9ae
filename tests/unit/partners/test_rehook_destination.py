"""Rehook as a destination: its requests equal those of Segment's own destination."""

import pytest
from marshmallow import ValidationError

from destination.model.verdict import Exchange
from destination.partners.rehook import Rehook, RehookSettings
from destination.support import json_codec

IDENTIFY = Rehook(RehookSettings()).actions["identifyUser"]
TRACK = Rehook(RehookSettings()).actions["trackEvent"]


def body(action, fields):
    return action.requests(action.fields.payload(fields))[-1].body


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (
            {"source_id": "user1234", "metadata": {"name": "abc"}},
            '{"source_id":"user1234","metadata":{"name":"abc"}}',
        ),
        ({"source_id": "u", "referral_code": None}, '{"source_id":"u","referral_code":null}'),
        ({"source_id": "u", "referral_code": ""}, '{"source_id":"u"}'),
        ({"source_id": "u", "referral_code": 123}, '{"source_id":"u","referral_code":"123"}'),
        ({"source_id": 12345, "metadata": None}, '{"source_id":"12345"}'),
        ({"source_id": 0}, '{"source_id":"0"}'),
        ({"referral_code": "C", "source_id": "u"}, '{"referral_code":"C","source_id":"u"}'),
        (
            {"source_id": "u", "metadata": {"a": None, "b": "", "c": [None]}},
            '{"source_id":"u","metadata":{"a":null,"b":"","c":[null]}}',
        ),
        ({"source_id": "u", "other": 1}, '{"source_id":"u"}'),
        ({"source_id": "u", "metadata": ""}, '{"source_id":"u"}'),
    ],
)
def test_an_identify_is_sent_as_segment_sends_it(fields, sent):
    request = IDENTIFY.requests(IDENTIFY.fields.payload(fields))[0]

    assert (request.method, request.path, request.idempotent) == ("POST", "/customers", True)
    assert request.body == sent


def test_a_track_is_an_award_and_keeps_the_order_of_the_mapping():
    fields = {"event_name": True, "source_id": "u", "metadata": {"total": 22.5, "n": 1}}
    [request] = TRACK.requests(TRACK.fields.payload(fields))

    assert (request.method, request.path, request.idempotent) == ("POST", "/events/invoke", False)
    assert request.body == '{"event_name":"true","source_id":"u","metadata":{"total":22.5,"n":1}}'


@pytest.mark.parametrize(
    ("action", "fields", "wrong"),
    [
        (IDENTIFY, {}, "source_id"),
        (IDENTIFY, {"source_id": None}, "source_id"),
        (IDENTIFY, {"source_id": ""}, "source_id"),
        (IDENTIFY, {"source_id": "  "}, "source_id"),
        (IDENTIFY, {"source_id": True}, "source_id"),
        (IDENTIFY, {"source_id": ["u"]}, "source_id"),
        (IDENTIFY, {"source_id": "\ud800"}, "source_id"),
        (IDENTIFY, {"source_id": "u" * 257}, "source_id"),
        (IDENTIFY, {"source_id": "u", "metadata": "text"}, "metadata"),
        (IDENTIFY, {"source_id": "u", "metadata": []}, "metadata"),
        (IDENTIFY, {"source_id": "u", "referral_code": {}}, "referral_code"),
        (TRACK, {"source_id": "u", "event_name": ""}, "event_name"),
        (TRACK, {"source_id": "u", "event_name": ["a"]}, "event_name"),
        (TRACK, "not an object", "_schema"),
    ],
)
def test_a_field_that_cannot_be_sent_is_named(action, fields, wrong):
    with pytest.raises(ValidationError) as error:
        action.fields.payload(fields)

    assert list(error.value.messages_dict) == [wrong] or wrong in error.value.messages_dict


@pytest.mark.parametrize(
    ("name", "metadata", "reason"),
    [
        ("signup", {}, "referral_code_required"),
        ("signup", None, "referral_code_required"),
        ("signup", {"referral_code": "C"}, None),
        ("signup", {"referral_code": ""}, None),
        ("Order Completed", {}, None),
        ("Signup", {}, None),
    ],
)
def test_a_conversion_event_needs_a_referral_code(name, metadata, reason):
    action = Rehook(RehookSettings(conversion_events=("signup",))).actions["trackEvent"]
    payload = action.fields.payload({"event_name": name, "source_id": "u", "metadata": metadata})
    assert action.rule
    discard = action.rule(payload)

    assert (discard and discard.reason) == reason


def looked_up(status, answer):
    action = Rehook(RehookSettings(validate_codes=True)).actions["identifyUser"]
    question, _ = action.requests({"source_id": "u", "referral_code": "A/B ü"})
    exchange = Exchange(method="GET", url="", status=status, answer=answer)
    assert question.objection
    return question, question.objection(exchange)


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (404, '{"code":"NOT_FOUND"}', None),
        (200, json_codec.dumps({"id": "cust_1", "source_id": "u"}), None),
        (200, json_codec.dumps({"id": "cust_2", "source_id": "somebody"}), "referral_code_taken"),
        (200, "not json", None),
        (200, "[]", None),
        (400, "{}", None),
    ],
)
def test_a_look_up_objects_only_where_the_code_is_somebody_elses(status, answer, reason):
    question, objection = looked_up(status, answer)

    assert (question.method, question.path) == ("GET", "/customers/validate-code/A%2FB%20%C3%BC")
    assert objection == reason


@pytest.mark.parametrize("payload", [{"source_id": "u"}, {"source_id": "u", "referral_code": None}])
def test_without_a_code_nothing_is_looked_up(payload):
    action = Rehook(RehookSettings(validate_codes=True)).actions["identifyUser"]

    assert len(action.requests(payload)) == 1


def test_requests_carry_basic_auth():
    headers = Rehook(RehookSettings(api_key="key", api_secret="secret")).headers()

    assert headers == {"Authorization": "Basic a2V5OnNlY3JldA=="}
