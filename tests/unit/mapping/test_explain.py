"""Why a trigger does not match, and how a payload came about."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destination.mapping import (
    MISSING,
    InvalidMapping,
    MappingFailed,
    compile_mapping,
    compile_trigger,
    expand,
)
from destination.mapping.explain import SHOWN, explain_fields, explain_trigger, shown
from tests.unit.mapping.test_properties import EVENTS, JSON, MAPPINGS

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": 7,
    "traits": {"name": "Ann", "email": None},
    "properties": {"total": 27.5, "vip": "true", "items": [{"sku": "A"}, {"sku": "B"}]},
}


def unmet(trigger, event=ORDER):
    return [f"{each.condition}: {each.finding}" for each in explain_trigger(trigger, event)]


def traces(fields, event=ORDER):
    return [trace.text for trace in explain_fields(expand(fields), event)]


# Triggers.


def test_a_trigger_that_matches_has_nothing_unmet():
    assert unmet('type = "track" and properties.total > 20') == []


@pytest.mark.parametrize(
    ("condition", "finding"),
    [
        ('event = "Signed Up"', 'the event is "Order Completed"'),
        ('name = "Home"', "the name is missing"),
        ("properties.total > 100", "properties.total is 27.5"),
        ('properties.total = "27.5"', "properties.total is 27.5, not a text"),
        ("properties.vip = true", 'properties.vip is "true", not true or false'),
        ("properties.tax > 1", "properties.tax is missing"),
        ("traits.email != null", "traits.email is null"),
        ("traits.name = null", 'traits.name is "Ann"'),
        ('!contains(event, "Order")', 'the event is "Order Completed"'),
        ('match(event, "*Refunded")', 'the event is "Order Completed"'),
        ('contains(properties.total, "2")', "properties.total is 27.5, not a text"),
        ('properties.items[0].sku = "B"', 'properties.items[0].sku is "A"'),
        ('properties["net price"] < -1.5', 'properties["net price"] is missing'),
        ('event = "Say \\"hi\\" \\\\"', 'the event is "Order Completed"'),
    ],
)
def test_a_condition_is_written_as_in_a_trigger_with_what_was_found(condition, finding):
    assert unmet(condition) == [f"{condition}: {finding}"]


def test_of_conditions_joined_by_and_the_first_that_fails_is_named():
    assert unmet('type = "track" and event = "A" and properties.total > 100') == [
        'event = "A": the event is "Order Completed"'
    ]


def test_of_conditions_joined_by_or_each_is_named():
    assert unmet('event = "A" or (type = "track" and properties.total > 100)') == [
        'event = "A": the event is "Order Completed"',
        "properties.total > 100: properties.total is 27.5",
    ]


def test_a_negated_group_is_named_by_what_it_asks_for():
    assert unmet("!(properties.total > 20 or traits.vip = true)") == [
        "properties.total <= 20: properties.total is 27.5"
    ]


NAMES = st.sampled_from(
    ["type", "event", "userId", "properties.a", "traits.b[0]", 'context["c d"].e', "traits.x\\.y"]
)
TEXTS = st.sampled_from(['"a"', '"track"', '"say \\"b\\""', "'b'", "word", '"a\\\\"'])
COMPARISONS = st.one_of(
    st.builds(
        "{} {} {}".format,
        NAMES,
        st.sampled_from(["=", "!="]),
        TEXTS | st.sampled_from(["null", "true", "false", "5", "-1.5"]),
    ),
    st.builds(
        "{} {} {}".format,
        NAMES,
        st.sampled_from(["<", "<=", ">", ">="]),
        st.sampled_from(["0", "5", "-1.5", "0.00001"]),
    ),
    st.builds("contains({}, {})".format, NAMES, TEXTS),
    st.builds("match({}, {})".format, NAMES, st.sampled_from(['"a*"', '"*a"', '"*"'])),
)
TRIGGERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"!({' or '.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
    ),
    max_leaves=8,
)
VALUES = JSON | st.sampled_from(["a", "track", 'say "b"', "a\\", 5, -1.5, True, [5], ["a"]])
CALLS = EVENTS | st.fixed_dictionaries(
    {},
    optional={
        "type": VALUES,
        "event": VALUES,
        "userId": VALUES,
        "properties": st.fixed_dictionaries({"a": VALUES}),
        "traits": st.fixed_dictionaries({"b": VALUES, "x.y": VALUES}),
        "context": st.fixed_dictionaries({"c d": st.fixed_dictionaries({"e": VALUES})}),
    },
)


@given(trigger=TRIGGERS, event=CALLS)
@settings(max_examples=400)
def test_something_is_unmet_where_a_trigger_does_not_fire(trigger, event):
    assert bool(explain_trigger(trigger, event)) is not compile_trigger(trigger)(event)


@given(trigger=TRIGGERS, event=CALLS)
def test_what_is_unmet_is_a_condition_that_does_not_hold(trigger, event):
    for each in explain_trigger(trigger, event):
        assert compile_trigger(each.condition)(event) is False


# Fields.


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        ("$.userId", "$.userId = 7"),
        ("$.traits.email", "$.traits.email = null"),
        ("$.traits.nme", "$.traits.nme is missing"),
        ("gold", '"gold"'),
        (None, "null"),
        ({}, "{}"),
        ({"@literal": "$.x"}, '"$.x"'),
        ("Hi {{traits.name}}", '"Hi {{traits.name}}" = "Hi Ann"'),
        (
            {"@if": {"exists": "$.event", "then": "$.event", "else": "$.type"}},
            '@if exists $.event → $.event = "Order Completed"',
        ),
        (
            {"@if": {"exists": "$.traits.email", "then": "a", "else": "$.type"}},
            '@if exists $.traits.email = null → else $.type = "track"',
        ),
        (
            {"@if": {"blank": "$.traits.name", "then": "known"}},
            '@if blank $.traits.name = "Ann" → "known"',
        ),
        (
            {"@if": {"exists": "$.name", "then": "$.name"}},
            "@if exists $.name is missing → nothing",
        ),
        (
            {
                "@case": {
                    "operator": "upper",
                    "value": {"@replace": {"value": "$.event", "pattern": "er"}},
                }
            },
            '$.event = "Order Completed" → @replace = "Ord Completed" → @case = "ORD COMPLETED"',
        ),
        (
            {"@arrayPath": ["$.properties.items", {"id": "$.sku"}]},
            '@arrayPath $.properties.items = [{"id": "A"}, {"id": "B"}]',
        ),
        (
            {"@merge": {"objects": ["$.traits", {"a": "$.type"}], "direction": "right"}},
            '$.traits = {"name": "Ann", "email": null}, $.type = "track" → @merge = '
            '{"name": "Ann", "email": null, "a": "track"}',
        ),
        (
            {"@transform": {"apply": {"k": "$.event"}, "mapping": {"n": "$.k"}}},
            '{"k": "Order Completed"} → @transform = {"n": "Order Completed"}',
        ),
        (
            {"@join": {"values": ["$.traits.name", "$.traits.last"]}},
            '$.traits.name = "Ann", $.traits.last is missing → @join = "Ann"',
        ),
        (
            {"@excludeWhenNull": "$.traits.email"},
            "$.traits.email = null → @excludeWhenNull makes nothing",
        ),
        ({"@liquid": "{{ traits.name\n| upcase }}"}, '@liquid {{ traits.name | upcase }} = "ANN"'),
        (
            {"@path": {"@template": "traits.{{type}}"}},
            '"traits.{{type}}" = "traits.track" → @path makes nothing',
        ),
    ],
)
def test_a_value_has_a_trace(value, trace):
    assert traces({"field": value}) == [trace]


def test_each_value_of_an_object_has_a_trace_of_its_own():
    found = explain_fields(
        expand({"a": {"b": "$.type", "c": ["$.x", "$.userId"]}, "d": "$.event"}), ORDER
    )

    assert [(trace.place, trace.found) for trace in found] == [
        (("a", "b"), "track"),
        (("a", "c", 0), MISSING),
        (("a", "c", 1), 7),
        (("d",), "Order Completed"),
    ]


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ("{{event}} for {{ properties.totl }} and {{properties.totl}}", ("properties.totl",)),
        ({"@arrayPath": ["$.properties.items", {"id": "$.skuu"}]}, ("$.skuu",)),
        ({"@json": {"mode": "encode", "value": {"a": "$.b"}}}, ("$.b",)),
        ({"@transform": {"apply": {"k": "$.evnt"}, "mapping": {"n": "$.k"}}}, ("$.evnt", "$.k")),
        ("$.nothing", ()),
        ({"@case": {"operator": "upper", "value": "$.nothing"}}, ()),
    ],
)
def test_a_path_in_the_middle_that_leads_to_nothing_is_named_once(value, lost):
    [trace] = explain_fields(expand({"field": value}), ORDER)

    assert trace.lost == lost


def test_the_trace_of_a_mapping_that_breaks_ends_where_it_breaks():
    found = explain_fields(
        expand({"a": "$.type", "b": {"@liquid": "{{ 1 | divided_by: 0 }}"}, "c": "$.event"}), ORDER
    )

    assert [(trace.text, trace.failed) for trace in found] == [
        ('$.type = "track"', False),
        ("@liquid {{ 1 | divided_by: 0 }} fails", True),
    ]


def test_a_directive_that_comes_before_all_fields_changes_what_they_find():
    before = {"@transform": {"apply": {"who": {"@path": "$.userId"}}}}
    fields = {"__segment_internal_directive": before, "id": {"@path": "$.who"}}

    assert [trace.text for trace in explain_fields(fields, ORDER)] == ["$.who = 7"]


def test_a_mapping_as_deep_as_may_be_has_a_trace():
    value: dict[str, object] = {"@path": "$.type"}
    for _ in range(97):
        value = {"@excludeWhenNull": value}

    [trace] = explain_fields({"field": value}, ORDER)
    assert trace.found == "track"


def test_a_long_value_is_cut_and_one_that_a_terminal_obeys_is_written_out():
    assert shown("x" * 100) == f'"{"x" * (SHOWN - 2)}…'
    assert shown("\x9b31m \u202e é") == '"\\u009b31m \\u202e é"'
    assert shown("\ud800") == '"\\ud800"'


@given(fields=st.dictionaries(st.sampled_from(["a", "b", "c"]), MAPPINGS, max_size=3), event=EVENTS)
@settings(max_examples=300)
def test_every_trace_ends_at_what_the_payload_has(fields, event):
    before = copy.deepcopy((fields, event))
    try:
        payload = compile_mapping(fields)(event)
    except (InvalidMapping, MappingFailed):
        return

    for trace in explain_fields(fields, event):
        assert not trace.failed
        inside = payload
        for key in trace.place:
            there = not isinstance(inside, dict) or key in inside
            inside = inside[key] if there else MISSING
        in_a_list = trace.place and isinstance(trace.place[-1], int)
        expected = None if in_a_list and trace.found is MISSING else trace.found
        assert inside is expected or json.dumps(inside) == json.dumps(expected)
    assert (fields, event) == before
