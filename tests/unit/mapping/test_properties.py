"""What holds of every mapping, every trigger and every event."""

import copy
import json
import math
import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from destination.mapping import (
    MISSING,
    InvalidMapping,
    InvalidTrigger,
    MappingFailed,
    compile_mapping,
    compile_trigger,
    expand,
    shorten,
)

WORDS = st.sampled_from(
    ["a", "b", "0", "type", "event", "traits", "properties", "", "$.a", "$.traits.b[0]", "{{a}}"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | WORDS
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)
NORMALIZE = st.booleans() | st.none()
DECIMALS = st.integers(-1, 11)
KEYS = st.lists(WORDS | st.text(max_size=5), max_size=4)
EVENTS = st.dictionaries(WORDS | st.text(), JSON, max_size=5)


def directives(value):
    """Directives as they should be, around values that may be faulty."""
    path = st.builds(lambda text: {"@path": text}, WORDS)
    return st.one_of(
        path,
        st.builds(lambda text: {"@template": text}, st.text("{}ab. $", max_size=12)),
        st.builds(lambda text: {"@liquid": text}, st.text("{}%|ab. ifasgn=", max_size=20)),
        st.builds(lambda test, then: {"@if": {"exists": test, "then": then}}, value, value),
        st.builds(lambda test, other: {"@if": {"blank": test, "else": other}}, value, value),
        st.builds(lambda each: {"@case": {"operator": "upper", "value": each}}, path),
        st.builds(lambda each: {"@replace": {"value": each, "pattern": "a"}}, path),
        st.builds(lambda shape: {"@arrayPath": ["$.a", {"k": shape}]}, value),
        st.builds(lambda each: {"@json": {"mode": "encode", "value": each}}, value),
        st.builds(lambda each: {"@json": {"mode": "decode", "value": each}}, value),
        st.builds(lambda each: {"@flatten": {"value": each, "separator": "."}}, value),
        st.builds(
            lambda one, two: {"@merge": {"objects": [{"a": one}, two], "direction": "left"}},
            value,
            path,
        ),
        st.builds(
            lambda one, two: {"@transform": {"apply": {"a": one}, "mapping": {"b": two}}},
            value,
            value,
        ),
        st.builds(lambda each: {"@excludeWhenNull": each}, value),
        st.builds(lambda each: {"@literal": each}, value),
        st.builds(
            lambda each, flag: {"@hash": {"value": each, "normalize": flag}}, path, NORMALIZE
        ),
        st.builds(lambda each, keys: {"@omit": {"value": each, "keys": keys}}, value, KEYS),
        st.builds(lambda each: {"@boolean": {"value": each}}, value),
        st.builds(
            lambda one, two: {"@join": {"values": [one, two], "separator": ", "}}, path, value
        ),
        st.builds(
            lambda each, times, decimals: {
                "@number": {"value": each, "times": times, "decimals": decimals}
            },
            path,
            st.integers() | st.floats(),
            DECIMALS,
        ),
        st.builds(lambda name, each: {f"@{name}": each}, st.text(max_size=4), value),
    )


MAPPINGS = st.recursive(
    SCALARS,
    lambda inner: (
        directives(inner)
        | st.lists(inner, max_size=3)
        | st.dictionaries(WORDS | st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)

PIECES = st.sampled_from(
    [
        *("type", "event", "userId", "properties.a", "traits.b[0]", "context.c.d", "anonymousId"),
        *(
            "=",
            "!=",
            "<",
            ">=",
            "==",
            "and",
            "or",
            "not",
            "!",
            "(",
            ")",
            ",",
            "contains(",
            "match(",
        ),
        *('"a"', "'b'", '"x*"', '"*y"', "5", "-1.5", "true", "null", '"', "\\", "“", "#"),
    ]
)
TRIGGERS = st.lists(PIECES, max_size=14).map(" ".join) | st.text(max_size=60)


@given(mapping=MAPPINGS | JSON, event=EVENTS)
@settings(max_examples=400, deadline=None)
def test_a_mapping_is_refused_or_runs_and_changes_nothing(mapping, event):
    mapping_before, event_before = copy.deepcopy(mapping), copy.deepcopy(event)
    try:
        run = compile_mapping(mapping)
        payload = run(event)
    except (InvalidMapping, MappingFailed):
        return

    assert payload is MISSING or json.dumps(payload) == json.dumps(run(event))
    assert (mapping, event) == (mapping_before, event_before)


@given(mapping=MAPPINGS | JSON)
@settings(deadline=None)
def test_an_expanded_mapping_stays_as_it_is_when_expanded_again(mapping):
    once = expand(mapping)

    assert expand(once) == once


@given(mapping=MAPPINGS | JSON)
@settings(deadline=None)
def test_a_mapping_in_segments_form_can_be_shortened_and_expanded_again(mapping):
    full = expand(mapping)

    assert expand(shorten(full)) == full


@given(value=MAPPINGS | JSON, event=EVENTS)
@settings(deadline=None)
def test_what_is_hashed_leaves_as_a_hash_as_nothing_or_empty(value, event):
    hashed = transformed({"@hash": {"value": value, "normalize": True}}, event)

    assert hashed in (MISSING, None, "") or re.fullmatch("[0-9a-f]{64}", hashed)


@given(value=MAPPINGS | JSON, event=EVENTS, times=st.integers() | st.floats(), places=DECIMALS)
@settings(deadline=None)
def test_a_number_is_a_number_or_nothing(value, event, times, places):
    number = transformed({"@number": {"value": value, "times": times, "decimals": places}}, event)

    assert number in (MISSING, None) or (type(number) in (int, float) and math.isfinite(number))


@given(found=JSON, key=st.text(string.ascii_lowercase, min_size=1))
@settings(deadline=None)
def test_a_key_that_is_left_out_is_nowhere_at_the_top(found, key):
    event = {"v": {**found, key: 1} if isinstance(found, dict) else {key: found, "other": found}}
    left = transformed({"@omit": {"value": {"@path": "v"}, "keys": [key]}}, event)

    assert left == {name: item for name, item in event["v"].items() if name != key}


def transformed(mapping, event):
    """What a mapping makes of an event; MISSING where either cannot be used."""
    try:
        return compile_mapping(mapping)(event)
    except (InvalidMapping, MappingFailed):
        return MISSING


@given(trigger=TRIGGERS, event=EVENTS | JSON)
@settings(max_examples=400, deadline=None)
def test_a_trigger_is_refused_inside_its_text_or_answers_every_event(trigger, event):
    fault = None
    try:
        fires = compile_trigger(trigger)
    except InvalidTrigger as error:
        fault = error

    if fault:
        assert 0 <= fault.position <= len(trigger)
    else:
        assert fires(event) in (True, False)
        assert fires(event) == fires(event)


@given(mapping=st.text(string.printable) | st.binary() | st.dates() | st.complex_numbers())
def test_what_is_no_json_is_refused_or_sent_as_it_stands(mapping):
    try:
        run = compile_mapping(mapping)
    except InvalidMapping:
        return

    assert run({}) == mapping
