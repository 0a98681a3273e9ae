"""What becomes of an event."""

import dataclasses

import pytest

from destination.errors import MappingFailed, Refused
from destination.mapping.files import Mapping
from destination.model.delivery import Delivery, Discard
from destination.model.event import read_event
from destination.routing.route import arrive, route, wanted
from destination.settings.modes import AnonymousCalls
from destination.support.json_codec import Json


@pytest.fixture
def routes(setup):
    return setup(REHOOK_CONVERSION_EVENTS="signup").routes()


def track_event(routes):
    [found] = [mapping for mapping in routes.mappings if mapping.name == "Track Event"]
    return found


def result(call, routes):
    [found] = route(read_event(call, source="segment", max_bytes=32_768), routes)
    return found


def reason(call, routes):
    found = result(call, routes)
    return found.reason if isinstance(found, Discard) else None


def test_a_track_call_becomes_a_delivery(routes):
    found = result({"type": "track", "event": "A", "userId": 7, "properties": {"x": 1}}, routes)

    assert dataclasses.replace(found, award=None) == Delivery(
        mapping="Track Event",
        destination="rehook",
        action="trackEvent",
        customer="7",
        payload='{"event_name":"A","source_id":"7","metadata":{"x":1}}',
        mapping_set=routes.digest,
    )


def test_an_identify_brings_its_referral_code_to_the_register(routes):
    found = result({"type": "identify", "userId": "u", "traits": {"referral_code": 12}}, routes)

    assert found.code == "12"
    assert found.payload == '{"source_id":"u","metadata":{"referral_code":12},"referral_code":"12"}'


def test_null_traits_send_a_null_referral_code_and_no_metadata(routes):
    found = result({"type": "identify", "userId": "u", "traits": None}, routes)

    assert found.payload == '{"source_id":"u","referral_code":null}'
    assert found.code is None


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"type": "track", "event": "A"}, "id_required"),
        ({"type": "track", "event": "A", "userId": " ", "anonymousId": ""}, "id_required"),
        ({"type": "track", "event": "A", "anonymousId": "a"}, "anonymous"),
        ({"type": "track", "event": "A", "userId": "u", "anonymousId": "a"}, None),
        ({"type": "track", "userId": "u"}, None),
        ({"type": "page", "userId": "u"}, "no_matching_mapping"),
        ({"type": "Track", "userId": "u"}, "unsupported_event_type"),
        ({"type": 5, "userId": "u"}, "unsupported_event_type"),
        ({"userId": "u"}, "unsupported_event_type"),
        ({"type": "identify", "userId": "u", "traits": []}, "payload_validation_failed"),
        ({"type": "track", "event": "signup", "userId": "u"}, "referral_code_required"),
        (
            {
                "type": "track",
                "event": "signup",
                "userId": "u",
                "properties": {"referral_code": ""},
            },
            None,
        ),
        (
            {"type": "track", "event": "A", "userId": "u", "integrations": {"Rehook": False}},
            "filtered_by_integrations_object",
        ),
    ],
)
def test_who_is_dropped(call, expected, routes):
    assert reason(call, routes) == expected


def test_a_setting_reads_the_rule_about_anonymous_calls_literally(routes):
    call = {"type": "track", "event": "A", "userId": "u", "anonymousId": "a"}

    assert reason(call, dataclasses.replace(routes, anonymous=AnonymousCalls.DROP)) == "anonymous"


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ({}, True),
        ({"All": True}, True),
        ({"All": False}, False),
        ({"All": False, "Rehook": True}, True),
        ({"All": False, "Rehook": {"option": 1}}, True),
        ({"All": True, "Rehook": False}, False),
        ({"All": False, "Webhooks (Actions)": True}, True),
        ({"Webhooks (Actions)": True, "Rehook": False}, False),
        ({"All": False, "rehook": True}, False),
        ({"Mixpanel": False}, True),
    ],
)
def test_the_most_particular_key_of_the_integrations_object_rules(integrations, expected):
    assert wanted(integrations, "Rehook", ["Webhooks (Actions)"]) is expected


def test_the_fields_that_cannot_be_sent_are_named(routes):
    found = result({"type": "identify", "userId": "u", "traits": "gold"}, routes)

    assert found.detail == "Identify User: metadata must be an object."
    assert found.mapping == "Identify User"


def with_mapping(routes, **changes):
    mapping = dataclasses.replace(track_event(routes), **changes)
    assert isinstance(mapping, Mapping)
    return dataclasses.replace(routes, mappings=[mapping])


TRACK: dict[str, Json] = {"type": "track", "event": "secret@example.com", "userId": "u"}


def test_a_mapping_that_is_switched_off_does_not_fire(routes):
    assert reason(TRACK, with_mapping(routes, enabled=False)) == "no_matching_mapping"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object()])
def test_what_cannot_be_written_as_json_parks_the_event_for_its_mapping_alone(routes, value):
    good = track_event(routes)
    broken = dataclasses.replace(
        good,
        name="Broken",
        render=lambda _: {"event_name": "x", "source_id": "u", "metadata": {"value": value}},
    )
    event = read_event(TRACK, source="segment", max_bytes=32_768)
    parked, made = route(event, dataclasses.replace(routes, mappings=[broken, good]))

    assert (parked.reason, parked.mapping) == ("mapping_failed", "Broken")
    assert (made.mapping, made.customer) == ("Track Event", "u")


@pytest.mark.parametrize(
    "error", [MappingFailed("took too long"), ZeroDivisionError("secret@example.com")]
)
def test_a_mapping_that_breaks_costs_one_event_and_tells_nothing_of_it(routes, error):
    def render(call):
        raise error

    found = result(TRACK, with_mapping(routes, render=render))

    assert found.reason == "mapping_failed"
    assert "secret" not in found.detail


def test_every_mapping_that_fires_makes_its_own_delivery(routes):
    twice = dataclasses.replace(
        routes, mappings=[track_event(routes), with_mapping(routes, name="Again").mappings[0]]
    )
    found = route(read_event(TRACK, source="segment", max_bytes=32_768), twice)

    assert [delivery.mapping for delivery in found] == ["Track Event", "Again"]


def test_a_refused_call_is_kept_as_it_arrived(routes):
    arrived = arrive(Refused("bad_request", "Not JSON.", '{"a":NaN\0}'), "segment", routes)

    assert arrived.call == '{"a":NaN�}'
    assert arrived.discards[0].reason == "bad_request"
    assert arrived.message_id.startswith("derived-")


def test_a_refused_call_keeps_its_own_message_id_where_it_can_be_used(routes):
    arrived = arrive({"messageId": "m1", "userId": "u" * 300}, "segment", routes)

    assert (arrived.message_id, arrived.discards[0].reason) == ("m1", "id_too_long")


@pytest.mark.parametrize(
    ("context", "bulk"),
    [
        ({"personas": {"computation_class": "audience", "computation_key": "vip"}}, True),
        ({"personas": "x"}, False),
        ({}, False),
        (None, False),
        ("personas", False),
    ],
)
def test_what_an_audience_sends_is_bulk(setup, context, bulk):
    call = {"type": "track", "userId": "u", "event": "A", "messageId": "m", "context": context}

    [delivery] = arrive(call, "segment", setup().routes()).deliveries
    assert delivery.bulk is bulk
