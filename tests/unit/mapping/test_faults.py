"""Faults of a mapping: refused when it loads, with the place and the remedy."""

import datetime as dt

import pytest

from destination.mapping import InvalidMapping, compile_mapping, expand

V = {"@path": "$.v"}


def fault(mapping):
    with pytest.raises(InvalidMapping) as caught:
        compile_mapping(mapping)
    return caught.value


@pytest.mark.parametrize(
    ("mapping", "where", "said"),
    [
        (
            {"metadata": {"@pth": "$.v"}},
            ("metadata", "@pth"),
            "unknown directive @pth. Did you mean @path?",
        ),
        ({"@excludewhennull": V}, ("@excludewhennull",), "Did you mean @excludeWhenNull?"),
        ({"@qqq": 1}, ("@qqq",), "Known: @path, @template"),
        ({"a": [1, {"@pth": "x"}]}, ("a", 1, "@pth"), "Did you mean @path?"),
        ({"@path": "$.v", "b": 1}, ("b",), '"b" stands beside "@path"'),
        ({"b": 1, "@path": "$.v"}, ("@path",), '"@path" stands beside "b"'),
        ({"@path": "$.v", "@json": {}}, ("@json",), "a directive stands alone"),
        ({"@path": 5}, ("@path",), 'not a number. Write {"@path": "$.traits.email"}'),
        ({"@path": ["a", "b"]}, ("@path",), "not a list"),
        ({"@path": {"a": 1}}, ("@path",), "not an object"),
        ({"@path": "a" * 1_001}, ("@path",), "at most 1,000 characters"),
        ({"@template": None}, ("@template",), "not null"),
        ({"@template": "{{ }}"}, ("@template",), "names no value"),
        ({"@template": "{{$.a.b}}"}, ("@template",), "write {{a.b}}"),
        ({"@template": "a" * 10_001}, ("@template",), "at most 10,000 characters"),
        ({"@if": V}, ("@if", "@path"), '@if has no "@path"'),
        ({"@if": {"then": 1}}, ("@if",), '@if needs "exists" or "blank"'),
        ({"@if": {"exists": V, "esle": 1}}, ("@if", "esle"), "Did you mean else?"),
        ({"@if": {"exists": None}}, ("@if", "exists"), "the same for every event"),
        ({"@if": {"exists": V, "then": {"@x": 1}}}, ("@if", "then", "@x"), "unknown directive"),
        ({"@case": {"value": V}}, ("@case",), '@case needs "operator"'),
        ({"@case": {"operator": "UPPER", "value": V}}, ("@case", "operator"), 'not "UPPER"'),
        ({"@case": {"operator": "lower", "value": 5}}, ("@case", "value"), "a text or a directive"),
        ({"@replace": {"value": V, "pattern": ""}}, ("@replace", "pattern"), "1 to 10 characters"),
        ({"@replace": {"value": V, "pattern": V}}, ("@replace", "pattern"), "not a directive"),
        (
            {"@replace": {"value": V, "pattern": "a", "pattern2": "a" * 11}},
            ("@replace", "pattern2"),
            "at most 10 characters",
        ),
        (
            {"@replace": {"value": V, "pattern": "a", "replacement": None}},
            ("@replace", "replacement"),
            "a text belongs here, not null",
        ),
        ({"@replace": {"value": V, "pattern": "a", "global": 1}}, ("@replace", "global"), "true"),
        ({"@arrayPath": []}, ("@arrayPath",), "takes a path"),
        ({"@arrayPath": ["a", {}, 1]}, ("@arrayPath",), "takes a path"),
        ({"@arrayPath": [5]}, ("@arrayPath", 0), "a text or a directive"),
        ({"@arrayPath": ["a", "b"]}, ("@arrayPath", 1), "the shape of an item is an object"),
        ({"@json": {"mode": "Encode", "value": V}}, ("@json", "mode"), "encode or decode"),
        ({"@flatten": {"value": V}}, ("@flatten",), 'needs "separator"'),
        ({"@flatten": {"value": V, "separator": ""}}, ("@flatten", "separator"), "1 to 100"),
        ({"@merge": {"objects": [V]}}, ("@merge",), 'needs "direction"'),
        (
            {"@merge": {"objects": [{}, "a"], "direction": "left"}},
            ("@merge", "objects", 1),
            "an object belongs here, not a text",
        ),
        (
            {"@merge": {"objects": [{"a": {"@x": 1}}], "direction": "left"}},
            ("@merge", "objects", 0, "a", "@x"),
            "unknown directive",
        ),
        ({"@transform": {"apply": {}, "mapping": "a"}}, ("@transform", "mapping"), "an object"),
        ({"@liquid": V}, ("@liquid",), "@liquid takes a text"),
        (
            {"@hash": V},
            ("@hash",),
            '@hash needs "value". Write {"@hash": {"value": …, "normalize": true}}',
        ),
        ({"@hash": {"value": 5}}, ("@hash", "value"), "a text or a directive belongs here"),
        ({"@hash": {"value": V, "normalise": True}}, ("@hash", "normalise"), "mean normalize?"),
        ({"@hash": {"value": V, "normalize": "yes"}}, ("@hash", "normalize"), "true or false"),
        ({"@omit": {"value": V}}, ("@omit",), '@omit needs "keys"'),
        ({"@omit": {"value": V, "keys": "a"}}, ("@omit", "keys"), "a list of keys belongs here"),
        ({"@omit": {"value": V, "keys": []}}, ("@omit", "keys"), "not an empty one"),
        ({"@omit": {"value": V, "keys": [5]}}, ("@omit", "keys", 0), "a text belongs here"),
        ({"@omit": {"value": V, "keys": ["a", ""]}}, ("@omit", "keys", 1), "1 to 1,000 characters"),
        ({"@omit": {"value": V, "keys": ["."]}}, ("@omit", "keys", 0), '"." names no key'),
        ({"@omit": {"value": V, "keys": ["$.a"]}}, ("@omit", "keys", 0), "without $."),
        ({"@omit": {"value": V, "keys": ["a[0].b"]}}, ("@omit", "keys", 0), "treated alike"),
        ({"@number": V}, ("@number",), '@number needs "value"'),
        ({"@number": {"value": 5}}, ("@number", "value"), "a text or a directive belongs here"),
        ({"@number": {"value": V, "times": "9"}}, ("@number", "times"), "a number belongs here"),
        ({"@number": {"value": V, "decimals": 11}}, ("@number", "decimals"), "0 to 10 belongs"),
        ({"@number": {"value": V, "decimals": True}}, ("@number", "decimals"), "a whole number"),
        ({"@number": {"value": V, "decimal": 2}}, ("@number", "decimal"), "Did you mean decimals?"),
        ({"@nubmer": V}, ("@nubmer",), "Did you mean @number?"),
        ({"@boolean": V}, ("@boolean",), '@boolean needs "value"'),
        ({"@join": {"separator": ","}}, ("@join",), '@join needs "values"'),
        ({"@join": {"values": []}}, ("@join", "values"), "not an empty one"),
        ({"@join": {"values": "Ann"}}, ("@join", "values"), "a list of values belongs here"),
        ({"@join": {"values": {"a": V}}}, ("@join", "values"), "not an object"),
        ({"@join": {"values": [V, {"@x": 1}]}}, ("@join", "values", 1, "@x"), "unknown directive"),
        ({"@join": {"values": [V], "separator": V}}, ("@join", "separator"), "not a directive"),
        ({"@join": {"values": [V], "seperator": ""}}, ("@join", "seperator"), "mean separator?"),
        (
            {"a": 1, "__segment_internal_directive": {"@path": "$.a"}},
            ("__segment_internal_directive",),
            "takes",
        ),
        ({"a": dt.date(2024, 1, 1)}, ("a",), "in quotes"),
        ({"a": float("nan")}, ("a",), "in quotes"),
        ({"a": {5: 1}}, ("a", "5"), 'write "5" in quotes'),
    ],
)
def test_a_fault_names_its_place_and_its_remedy(mapping, where, said):
    error = fault(mapping)

    assert error.where == where
    assert said in error.message


def test_the_first_fault_is_the_one_that_is_written_first():
    both = {"a": {"@if": {"exists": V, "then": {"@one": 1}, "wrong": 1}}, "b": {"@two": 1}}

    assert fault(both).where == ("a", "@if", "then", "@one")


def test_a_lacking_field_is_told_before_what_is_wrong_inside():
    assert fault({"@case": {"value": {"@one": 1}}}).where == ("@case",)


def test_a_mapping_nested_too_deep_is_refused():
    mapping = {}
    for _ in range(200):
        mapping = {"a": mapping}

    assert "nested deeper than 100 levels" in fault(mapping).message
    with pytest.raises(InvalidMapping, match="nested deeper"):
        expand(mapping)


def test_a_mapping_that_holds_itself_is_refused():
    mapping = {}
    mapping["a"] = [mapping, mapping]

    assert fault(mapping).where
    with pytest.raises(InvalidMapping):
        expand(mapping)


def test_a_mapping_as_deep_as_may_be_is_taken():
    mapping: object = "$.v"
    for _ in range(49):
        mapping = {"@literal": [mapping]}

    assert compile_mapping(mapping)({})


def test_a_mapping_too_large_is_refused():
    assert "larger than 200,000" in fault({"a": "x" * 200_001}).message
    assert "larger than 200,000" in fault([0] * 200_001).message
