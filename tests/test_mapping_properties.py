"""What holds of every mapping, every trigger and every event."""

import copy
import json
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
