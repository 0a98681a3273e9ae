"""Segment's mappings, as people copy them."""

import pytest

from destination.errors import Problem
from destination.mapping import expand
from destination.mapping.subscriptions import read_subscriptions

MAPPING = {
    "source_id": {"@path": "$.userId"},
    "event_name": {"@if": {"exists": {"@path": "$.event"}, "then": {"@template": "{{event}}!"}}},
    "metadata": {"path": {"@path": "traits.plan"}, "n": 5},
}
CONTENT = {
    "name": "Order",
    "action": "trackEvent",
    "trigger": 'type = "track"',
    "fields": {
        "source_id": "$.userId",
        "event_name": {"@if": {"exists": "$.event", "then": "{{event}}!"}},
        "metadata": {"path": {"@path": "traits.plan"}, "n": 5},
    },
}
STORED = {
    "id": "f3x",
    "name": "Order",
    "partnerAction": "trackEvent",
    "subscribe": 'type = "track"',
    "mapping": MAPPING,
}


@pytest.mark.parametrize(
    "found",
    [
        STORED,
        [STORED],
        {"subscriptions": [STORED]},
        {"data": {"subscription": STORED}},
        {
            "name": "Order",
            "actionSlug": "trackEvent",
            "trigger": 'type = "track"',
            "settings": MAPPING,
            "destinationId": "d",
        },
        {
            "name": "Order",
            "action": {"slug": "trackEvent", "name": "Track Event"},
            "trigger": 'type = "track"',
            "fields": MAPPING,
        },
        {**STORED, "action": None, "description": None, "enabled": None},
    ],
)
def test_a_mapping_is_found_however_it_was_copied(found):
    assert read_subscriptions(found) == [CONTENT]


def test_its_fields_mean_what_they_meant():
    [content] = read_subscriptions(STORED)

    assert expand(content["fields"]) == MAPPING


def test_several_keep_their_order():
    names = ["B", "A", "C"]
    found = {"subscriptions": [{**STORED, "name": name} for name in names]}

    assert [content["name"] for content in read_subscriptions(found)] == names


def test_what_is_switched_off_stays_so():
    [content] = read_subscriptions({**STORED, "enabled": False, "description": "Old."})

    assert (content["enabled"], content["description"]) == (False, "Old.")


def test_a_mapping_without_a_name_is_called_by_its_action():
    [content] = read_subscriptions({key: STORED[key] for key in STORED if key != "name"})

    assert content["name"] == "trackEvent"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "There is no mapping in it"),
        ({"subscriptions": []}, "There is no mapping in it"),
        (5, "Mapping 1 is a number, not an object."),
        ([STORED, "x"], "Mapping 2 is a text"),
        ({**CONTENT, "award_key": "$.messageId"}, '"Order" is a mapping file already: put it into'),
        (
            {**STORED, "partnerAction": None},
            '"Order": "partnerAction", "actionSlug" or "action" is missing',
        ),
        ({**STORED, "subscribe": {"type": "group"}}, '"subscribe" or "trigger" is an object'),
        ({**STORED, "mapping": []}, '"mapping", "fields" or "settings" is a list'),
        (
            {**STORED, "action": {"name": "x"}, "partnerAction": None},
            "is missing, and must be a text",
        ),
        ({**STORED, "mapping": {"a": "x" * 200_001}}, '"Order": the mapping is larger than'),
    ],
)
def test_what_is_no_mapping_is_said(found, said):
    with pytest.raises(Problem) as caught:
        read_subscriptions(found)

    assert said in str(caught.value)
