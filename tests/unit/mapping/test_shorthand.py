"""The short way to write a mapping, and what it stands for."""

import copy

import pytest

from destination.mapping import expand, shorten, transform

PATH = {"@path": "$.a"}
TEMPLATE = {"@template": "Hi {{a}}"}


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("$.a", PATH),
        ("$.", {"@path": "$."}),
        ("Hi {{a}}", TEMPLATE),
        ("$.a {{b}}", {"@path": "$.a {{b}}"}),
        ("plain", "plain"),
        ("$", "$"),
        ("$5", "$5"),
        ("{{}}", "{{}}"),
        ("{{ not closed", "{{ not closed"),
        (5, 5),
        (None, None),
        (["$.a", {"b": "$.a"}], [PATH, {"b": PATH}]),
        ({"$.a": "x"}, {"$.a": "x"}),
        (
            {"@if": {"exists": "$.a", "then": "Hi {{a}}", "else": "$.a"}},
            {"@if": {"exists": PATH, "then": TEMPLATE, "else": PATH}},
        ),
        ({"@if": {"blank": "$.a"}}, {"@if": {"blank": PATH}}),
        (
            {"@case": {"operator": "lower", "value": "$.a"}},
            {"@case": {"operator": "lower", "value": PATH}},
        ),
        (
            {"@replace": {"value": "$.a", "pattern": "$.", "replacement": "$.b"}},
            {"@replace": {"value": PATH, "pattern": "$.", "replacement": "$.b"}},
        ),
        (
            {"@json": {"mode": "encode", "value": "$.a"}},
            {"@json": {"mode": "encode", "value": PATH}},
        ),
        (
            {"@flatten": {"value": "$.a", "separator": "$."}},
            {"@flatten": {"value": PATH, "separator": "$."}},
        ),
        (
            {"@merge": {"objects": ["$.a", {"b": "$.a"}], "direction": "left"}},
            {"@merge": {"objects": [PATH, {"b": PATH}], "direction": "left"}},
        ),
        (
            {"@transform": {"apply": {"b": "$.a"}, "mapping": {"c": "$.a"}}},
            {"@transform": {"apply": {"b": PATH}, "mapping": {"c": PATH}}},
        ),
        ({"@excludeWhenNull": "$.a"}, {"@excludeWhenNull": PATH}),
        ({"@hash": {"value": "$.a"}}, {"@hash": {"value": PATH}}),
        (
            {"@omit": {"value": "$.a", "keys": ["$.a"]}},
            {"@omit": {"value": PATH, "keys": ["$.a"]}},
        ),
        ({"@number": {"value": "{{a}}"}}, {"@number": {"value": {"@template": "{{a}}"}}}),
        (
            {"@join": {"values": ["$.a", "Hi {{a}}", "b"], "separator": "$."}},
            {"@join": {"values": [PATH, TEMPLATE, "b"], "separator": "$."}},
        ),
        ({"@join": {"values": "$.a"}}, {"@join": {"values": PATH}}),
        ({"@boolean": {"value": "$.a"}}, {"@boolean": {"value": {"@path": "$.a"}}}),
        (
            {"@arrayPath": ["$.list", {"b": "$.a"}]},
            {"@arrayPath": ["$.list", {"b": PATH}]},
        ),
        (
            {"@arrayPath": [{"@if": {"exists": "$.a", "then": "$.a"}}]},
            {"@arrayPath": [{"@if": {"exists": PATH, "then": PATH}}]},
        ),
        ({"@path": {"@if": {"exists": "$.a"}}}, {"@path": {"@if": {"exists": PATH}}}),
    ],
)
def test_a_short_text_stands_for_a_directive_wherever_a_value_may_stand(short, full):
    assert expand(short) == full
    assert shorten(full) == short


@pytest.mark.parametrize(
    "written",
    [
        {"@path": "$.a"},
        {"@template": "$.a"},
        {"@literal": {"deep": ["$.a", "{{a}}"]}},
        {"@liquid": "$.a {{ a }}"},
        {"@arrayPath": ["$.a"]},
        {"@path": "$.a", "_metadata": {"label": "$.a"}},
        {"@unknown": "$.a"},
        {"@if": "$.a"},
        {"@arrayPath": []},
    ],
)
def test_what_is_a_directives_own_stays_as_it_is_written(written):
    assert expand(written) == written
    assert expand(shorten(written)) == written


@pytest.mark.parametrize(
    ("sent_by_segment", "written"),
    [
        ("$.a", {"@literal": "$.a"}),
        ({"v": ["Hi {{a}}"]}, {"v": [{"@literal": "Hi {{a}}"}]}),
        ({"@excludeWhenNull": "$.a"}, {"@excludeWhenNull": {"@literal": "$.a"}}),
        ("plain", "plain"),
    ],
)
def test_a_text_that_would_be_short_for_something_is_shortened_to_a_literal(
    sent_by_segment, written
):
    assert shorten(sent_by_segment) == written
    assert transform(expand(written), {"a": 1}) == transform(sent_by_segment, {"a": 1})


@pytest.mark.parametrize("full", [{"@path": "a.b"}, {"@template": "plain"}, {"@path": "a {{b}}"}])
def test_what_has_no_short_way_is_not_shortened(full):
    assert shorten(full) == full


def test_expanding_twice_is_expanding_once():
    mapping = {"a": "$.a", "b": ["Hi {{a}}"], "c": {"@if": {"exists": "$.a", "then": "{{a}}"}}}

    assert expand(expand(mapping)) == expand(mapping)


def test_what_is_expanded_is_not_changed():
    mapping = {"a": ["$.a"], "b": {"@merge": {"objects": ["$.a"], "direction": "left"}}}
    before = copy.deepcopy(mapping)
    expand(mapping)

    assert mapping == before


def test_an_expanded_mapping_is_run():
    mapping = expand({"id": "$.userId", "hi": "Hi {{traits.name}}", "plan": "gold"})
    event = {"userId": "u1", "traits": {"name": "Ann"}}

    assert transform(mapping, event) == {"id": "u1", "hi": "Hi Ann", "plan": "gold"}
