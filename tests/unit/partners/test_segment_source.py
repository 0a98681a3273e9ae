"""Segment as a source: signatures, write keys, and the shapes that a body can have."""

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination.errors import Refused, Unauthorized
from destination.partners.base.body import Body
from destination.partners.segment import Segment, SegmentSettings, read_calls

ONE = b'{"cool":true}'
TWO = b'[{"cool":false},{"cool":true}]'
# Computed by Segment's own signing code, with the secret abc123.
OF_ONE = "5099cab379b3be52908387457007040cc934ef86"
OF_THE_FIRST = "c702b94a2569dd8d2f7185ce0ae951021bef4706"
OF_THE_WHOLE = "685cf04ec172d3adcac0b8f25c923bb4d56ed1eb"


def segment(**settings):
    return Segment(SegmentSettings(**settings))


def signed(signature, authorization=None):
    headers = {"X-Signature": signature}
    return headers if authorization is None else {**headers, "Authorization": authorization}


SECRET = segment(shared_secret=("abc123",))
SECRET_AND_KEY = segment(shared_secret=("abc123",), write_keys=("k1",))


@pytest.mark.parametrize(
    ("source", "headers", "body"),
    [
        (SECRET, signed(OF_ONE), ONE),
        (SECRET, signed(OF_ONE.upper()), ONE),
        (segment(shared_secret=("new", "abc123")), signed(OF_ONE), ONE),
        (SECRET, signed(OF_THE_WHOLE), TWO),
        (SECRET, signed(OF_THE_FIRST), b'[{"cool":false}]'),
        (SECRET_AND_KEY, signed(OF_THE_FIRST, "Bearer k1"), TWO),
        (SECRET_AND_KEY, signed(OF_THE_FIRST, "Basic " + b64encode(b"k1:").decode()), TWO),
        (segment(shared_secret=("abc123",), accept_unsigned=True), signed(OF_THE_FIRST), TWO),
        (SECRET, signed(OF_THE_FIRST), b'[{"json":{"cool":false}}]'),
        (segment(write_keys=("k1",)), {"Authorization": "Bearer k1"}, TWO),
    ],
)
def test_what_a_credential_vouches_for_is_taken(source, headers, body):
    source.authenticate(headers, Body(raw=body))


@pytest.mark.parametrize(
    ("source", "headers", "body", "remedy"),
    [
        (SECRET, {}, ONE, "X-Signature is missing"),
        (SECRET, {"Authorization": "Bearer k1"}, ONE, "X-Signature is missing"),
        (SECRET, signed("0" * 40), ONE, "SHARED_SECRET must be"),
        (SECRET, signed("garbled"), ONE, "SHARED_SECRET must be"),
        (SECRET, signed("é" * 40), ONE, "SHARED_SECRET must be"),
        (SECRET, signed(OF_ONE), b'{"cool":false}', "SHARED_SECRET must be"),
        (SECRET, signed(OF_ONE), b'{"cool": true}', "SHARED_SECRET must be"),
        (SECRET, signed(OF_ONE), b"not json", "SHARED_SECRET must be"),
        (SECRET, signed(OF_ONE), b"\xff\xfe", "SHARED_SECRET must be"),
        (SECRET, signed(OF_ONE), b"[" * 100_000, "SHARED_SECRET must be"),
        (SECRET, signed(OF_THE_FIRST), TWO, "Only the first event"),
        (SECRET, signed(OF_THE_FIRST, "Bearer k1"), TWO, "Only the first event"),
        (SECRET_AND_KEY, signed(OF_THE_FIRST, "Bearer k2"), TWO, "Only the first event"),
        (SECRET_AND_KEY, signed(OF_THE_FIRST, "Basic !!!"), TWO, "Only the first event"),
        (SECRET_AND_KEY, {"Authorization": "Bearer k1"}, TWO, "X-Signature is missing"),
        (segment(), {}, ONE, "write key"),
        (segment(), {"Authorization": "Bearer "}, ONE, "write key"),
        (segment(write_keys=("k1",)), {}, ONE, "WRITE_KEYS|write key"),
        (segment(write_keys=("k1",)), {"Authorization": "Bearer "}, ONE, "write key"),
    ],
)
def test_what_nothing_vouches_for_is_refused_with_a_remedy(source, headers, body, remedy):
    with pytest.raises(Unauthorized, match=remedy):
        source.authenticate(headers, Body(raw=body))


@given(st.text(), st.text(), st.binary())
def test_no_forgery_is_taken_and_none_breaks(signature, authorization, body):
    true = hmac.new(b"abc123", body, hashlib.sha1).hexdigest()
    with pytest.raises(Unauthorized):
        SECRET.authenticate(signed(signature.replace(true, ""), authorization), Body(raw=body))


def test_the_tracking_api_takes_a_write_key_by_header_or_in_the_body():
    source = segment(write_keys=("k1",))

    source.authenticate_tracking(
        {"Authorization": "Basic " + b64encode(b"k1:").decode()}, Body(raw=b"{}")
    )
    source.authenticate_tracking({}, Body(raw=b'{"writeKey":"k1"}'))
    for headers, body in [
        ({}, b"{}"),
        ({}, b'{"writeKey":5}'),
        ({}, b"[1"),
        ({"Authorization": "Basic eDo="}, b'{"writeKey":"k1"}'),
    ]:
        with pytest.raises(Unauthorized, match="WRITE_KEYS"):
            source.authenticate_tracking(headers, Body(raw=body))


def test_a_shared_secret_alone_does_not_open_the_tracking_api():
    with pytest.raises(Unauthorized):
        SECRET.authenticate_tracking({}, Body(raw=b"{}"))


@pytest.mark.parametrize(
    ("body", "calls", "batch"),
    [
        ('{"type":"track"}', [{"type": "track"}], False),
        ('[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}], True),
        ('[{"json":{"a":1}}]', [{"a": 1}], True),
        ('{"json":{"a":1}}', [{"a": 1}], False),
        ('{"json":{"a":1},"type":"x"}', [{"json": {"a": 1}, "type": "x"}], False),
        ('{"batch":[{"a":1}]}', [{"a": 1}], True),
        ('{"batch":[{"a":1}],"type":"track"}', [{"batch": [{"a": 1}], "type": "track"}], False),
        ("[]", [], True),
        ("5", [5], False),
        (
            '{"batch":[{"context":{"ip":"1"}},5],"context":{"ip":"2","app":"x"},"integrations":{"All":false}}',
            [{"context": {"ip": "1", "app": "x"}, "integrations": {"All": False}}, 5],
            True,
        ),
    ],
)
def test_a_body_is_one_call_or_a_batch(body, calls, batch):
    assert read_calls(body) == (calls, batch)


@pytest.mark.parametrize("wrap", ["%s", '{"batch":%s,"sentAt":"x"}'])
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("NaN", "bad_request"),
        ('{"a":1e999}', "bad_request"),
        ("{a}", "bad_request"),
        ("[" * 5000 + "]" * 5000, "nested_too_deep"),
        ("1" * 5000, "bad_request"),
    ],
)
def test_a_broken_call_in_a_batch_harms_no_other(wrap, broken, reason):
    calls, batch = read_calls(wrap % f'[{{"a":1}},{broken},{{"a":3}}]')

    assert batch
    assert [calls[0], calls[2]] == [{"a": 1}, {"a": 3}]
    assert isinstance(calls[1], Refused)
    assert (calls[1].reason, calls[1].text) == (reason, broken)


def test_a_broken_call_in_a_batch_leaves_the_others_what_they_share():
    shared = '"integrations":{"All":false},"sentAt":NaN,"context":{"app":"x"}'
    calls, _ = read_calls(f'{{{shared},"batch":[{{"a":1}},{{"a":NaN}}]}}')

    assert calls[0] == {"a": 1, "integrations": {"All": False}, "context": {"app": "x"}}
    assert isinstance(calls[1], Refused)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "NaN",
        "[1",
        "[1}",
        '{"batch":[1}',
        "nonsense",
        '[{"a":1}] x',
        '{"a":NaN}',
        '{"batch":[{"a":1}],"integrations":{"All":NaN}}',
        '{"batch":[{"a":1}],"type":"track","properties":NaN}',
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(body):
    with pytest.raises(Refused, match="body cannot be read") as refused:
        read_calls(body)

    assert refused.value.reason == "bad_request"


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        calls, _ = read_calls(text)
    except Refused:
        return
    json.dumps([call for call in calls if not isinstance(call, Refused)])


NOW = datetime(2026, 3, 14, 9, 26, 53, 589000, UTC).timestamp()


def test_the_tracking_api_completes_a_call_as_segment_does():
    [call], batch = segment().tracked(b'{"userId":"u1","writeKey":"k1"}', "identify", NOW)

    assert not batch
    assert call.pop("messageId")
    assert call == {
        "userId": "u1",
        "type": "identify",
        "timestamp": "2026-03-14T09:26:53.589Z",
        "receivedAt": "2026-03-14T09:26:53.589Z",
    }


def test_a_batch_keeps_the_types_ids_and_times_of_its_calls():
    body = b'{"batch":[{"type":"track","messageId":"m1","timestamp":"2026-01-01T00:00:00Z"}]}'
    [call], batch = segment().tracked(body, "batch", NOW)

    assert batch
    assert (call["type"], call["messageId"], call["timestamp"]) == (
        "track",
        "m1",
        "2026-01-01T00:00:00Z",
    )
