"""An event is one call, checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination.errors import Refused
from destination.model.event import message_id, read_event
from destination.model.reason import REFUSALS
from tests.unit.support.test_json_codec import anything


def read(call, max_bytes=32 * 1024):
    return read_event(call, source="segment", max_bytes=max_bytes)


def test_a_call_becomes_an_event():
    event = read(
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "u1",
            "anonymousId": "a1",
            "messageId": "m1",
            "timestamp": "2015-12-12T19:11:01.249Z",
            "integrations": {"All": True},
        }
    )

    assert (event.type, event.name, event.user_id, event.anonymous_id, event.message_id) == (
        "track",
        "Order Completed",
        "u1",
        "a1",
        "m1",
    )
    assert event.timestamp == 1449947461.249
    assert event.integrations == {"All": True}


@pytest.mark.parametrize(
    ("given", "user_id"),
    [
        (12345, "12345"),
        (0, "0"),
        (1.5, "1.5"),
        ("u", "u"),
        (12345678901234567890, "12345678901234567890"),
    ],
)
def test_a_number_as_user_id_becomes_text(given, user_id):
    assert read({"userId": given}).user_id == user_id


@pytest.mark.parametrize("given", [None, "", "  ", "\t", True, False, ["u1"], {"id": "u1"}])
def test_what_names_nobody_is_no_user_id(given):
    assert read({"userId": given}).user_id is None


@pytest.mark.parametrize("field", ["userId", "anonymousId", "messageId"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [("x" * 257, "id_too_long"), ("a\0b", "id_invalid"), ("\ud800", "id_invalid")],
)
def test_an_id_that_cannot_be_kept_is_refused(field, value, reason):
    with pytest.raises(Refused) as refused:
        read({"type": "track", field: value})

    assert refused.value.reason == reason
    assert refused.value.detail.startswith(field)


def test_an_id_of_256_characters_is_taken():
    assert read({"userId": "é" * 256}).user_id == "é" * 256


def test_the_same_call_without_a_message_id_gets_the_same_one():
    first, again = read({"userId": "u1", "event": "A"}), read({"userId": "u1", "event": "A"})

    assert first.message_id == again.message_id
    assert first.message_id != read({"userId": "u1", "event": "B"}).message_id


@pytest.mark.parametrize("unusable", [None, "", "  ", True, [], {}])
def test_an_unusable_message_id_is_replaced(unusable):
    assert read({"messageId": unusable}).message_id.startswith("derived-")


def test_a_call_of_more_than_32_kb_is_refused():
    with pytest.raises(Refused, match="32,768 are allowed") as refused:
        read({"text": "x" * 32_760})

    assert refused.value.reason == "event_too_large"


def test_the_size_counts_bytes_and_not_characters():
    with pytest.raises(Refused):
        read({"text": "é" * 17_000})
    read({"text": "x" * 32_000})


@pytest.mark.parametrize(("levels", "taken"), [(100, True), (101, False)])
def test_a_call_may_be_nested_100_levels_deep(levels, taken):
    call: object = 1
    for _ in range(levels):
        call = {"a": call}

    if taken:
        read(call)
    else:
        with pytest.raises(Refused) as refused:
            read(call)
        assert refused.value.reason == "nested_too_deep"


@pytest.mark.parametrize("timestamp", ["yesterday", 5, None, {}, "99999-01-01"])
def test_a_timestamp_that_is_no_time_reads_as_none(timestamp):
    assert read({"timestamp": timestamp}).timestamp is None


@given(anything)
def test_any_json_is_read_or_refused_with_a_reason(call):
    try:
        read(call)
    except Refused as refused:
        assert refused.reason in REFUSALS


@given(anything)
def test_any_json_has_a_message_id(call):
    assert 0 < len(message_id(call, str(call))) <= 256


@given(
    st.dictionaries(
        st.sampled_from(["type", "event", "userId", "messageId", "timestamp", "integrations"]),
        anything,
    )
)
def test_any_value_of_a_field_is_read_or_refused(call):
    try:
        assert read(call).call == call
    except Refused as refused:
        assert refused.reason in REFUSALS
