"""Directives: what each makes of an event."""

import copy

import pytest

from destination.mapping import MISSING, MappingFailed, compile_mapping, transform

HERE = {"@path": "$.here"}
NULL = {"@path": "$.null"}
GONE = {"@path": "$.gone"}
EVENT = {"here": "x", "null": None, "nested": {"a": None, "b": {"c": 1}}}


def test_constants_are_sent_as_they_stand():
    mapping = {"text": "$.x {{y}}", "number": 1.5, "yes": True, "none": None, "list": [1, [2]]}

    assert transform(mapping, {}) == mapping


def test_a_missing_value_is_dropped_from_its_object():
    assert transform({"a": GONE, "b": {"c": GONE}}, EVENT) == {"b": {}}


def test_null_is_kept():
    assert transform({"a": NULL}, EVENT) == {"a": None}


def test_a_missing_item_of_a_list_is_null():
    assert transform([HERE, GONE, HERE], EVENT) == ["x", None, "x"]


def test_fields_keep_the_order_in_which_they_are_written():
    made = transform({"b": 1, "a": HERE, "c": 2}, EVENT)

    assert isinstance(made, dict)
    assert list(made) == ["b", "a", "c"]


def test_notes_of_segments_editor_are_skipped():
    assert transform({"@path": "$.here", "_metadata": {"label": "X"}}, EVENT) == "x"


def test_a_directive_before_all_others_is_applied_first():
    mapping = {
        "__segment_internal_directive": {"@transform": {"apply": {"k": HERE}}},
        "v": {"@path": "$.k"},
    }

    assert transform(mapping, EVENT) == {"v": "x"}


@pytest.mark.parametrize(
    ("value", "branch"),
    [(HERE, "then"), (NULL, "else"), (GONE, "else"), ({"@literal": ""}, "then"), (1, "then")],
)
def test_if_exists_asks_for_a_value_that_is_not_null(value, branch):
    choice = {"@if": {"exists": value, "then": "then", "else": "else"}}

    assert transform(choice, EVENT) == branch


@pytest.mark.parametrize("value", [None, "", 0, 0.0, False, [], [[]], [None], [""]])
def test_if_blank_takes_else_when_the_value_is_blank(value):
    choice = {"@if": {"blank": {"@path": "v"}, "then": "there", "else": "blank"}}

    assert transform(choice, {"v": value}) == "blank"
    assert transform(choice, {}) == "blank"


@pytest.mark.parametrize("value", ["x", " ", 1, True, {}, [0], [False], [None, None]])
def test_if_blank_takes_then_when_the_value_is_there(value):
    choice = {"@if": {"blank": {"@path": "v"}, "then": "there", "else": "blank"}}

    assert transform(choice, {"v": value}) == "there"


def test_a_branch_that_is_not_written_sends_nothing():
    assert transform({"@if": {"exists": HERE, "else": 1}}, EVENT) is MISSING
    assert transform({"@if": {"exists": GONE, "then": 1}}, EVENT) is MISSING


@pytest.mark.parametrize("value", ["", 0, False, None])
def test_an_empty_else_is_sent(value):
    assert transform({"@if": {"exists": GONE, "then": 1, "else": value}}, EVENT) == value


@pytest.mark.parametrize(
    ("operator", "value", "made"),
    [
        ("upper", "straße", "STRASSE"),
        ("lower", "ÄB", "äb"),
        ("lower", 5, 5),
        ("upper", None, None),
        ("upper", ["a"], ["a"]),
    ],
)
def test_case_changes_texts_only(operator, value, made):
    mapping = {"@case": {"operator": operator, "value": {"@path": "v"}}}

    assert transform(mapping, {"v": value}) == made


@pytest.mark.parametrize(
    ("options", "value", "made"),
    [
        ({"pattern": "-"}, "a-b-c", "abc"),
        ({"pattern": "-", "replacement": "+", "global": False}, "a-b-c", "a+b-c"),
        ({"pattern": "B", "replacement": "x", "ignorecase": True}, "abBa", "axxa"),
        ({"pattern": ".", "replacement": "!"}, "a.b", "a!b"),
        ({"pattern": "$&", "replacement": "\\1"}, "a$&b", "a\\1b"),
        ({"pattern": "a", "replacement": "$&$1"}, "bab", "b$&$1b"),
        ({"pattern": "a", "replacement": "b", "pattern2": "b", "replacement2": "c"}, "ab", "cc"),
        ({"pattern": "a", "pattern2": ""}, "ab", "b"),
        ({"pattern": "1", "replacement": "2"}, 1.0, "2"),
        ({"pattern": "true", "replacement": "yes"}, True, "yes"),
        ({"pattern": "a"}, None, ""),
        ({"pattern": "a"}, ["a"], ""),
        ({"pattern": "a"}, {"a": 1}, ""),
    ],
)
def test_replace_takes_pattern_and_replacement_as_they_stand(options, value, made):
    mapping = {"@replace": {"value": {"@path": "v"}, **options}}

    assert transform(mapping, {"v": value}) == made


def test_replace_makes_an_empty_text_of_a_missing_value():
    assert transform({"@replace": {"value": GONE, "pattern": "a"}}, EVENT) == ""


SKU = {"sku": {"@path": "$.id"}}


@pytest.mark.parametrize(
    ("mapping", "made"),
    [
        (["$.products"], [{"id": 1}, {"id": 2}]),
        (["products", SKU], [{"sku": 1}, {"sku": 2}]),
        (["products", {"@path": "$.id"}], [1, 2]),
        (["products", {"@path": "$.gone"}], [None, None]),
        (["products", {}], [{"id": 1}, {"id": 2}]),
        (["products", None], [{"id": 1}, {"id": 2}]),
        (["one", SKU], [{"sku": 3}]),
        (["text", SKU], "t"),
        (["null", SKU], None),
        (["mixed", SKU], [{"sku": 4}, {}, {"sku": None}]),
        ([{"@path": "$.products"}, SKU], [{"sku": 1}, {"sku": 2}]),
    ],
)
def test_array_path_shapes_each_item(mapping, made):
    event = {
        "products": [{"id": 1}, {"id": 2}],
        "one": {"id": 3},
        "text": "t",
        "null": None,
        "mixed": [{"id": 4}, "text", None],
    }

    assert transform({"@arrayPath": mapping}, event) == made


def test_array_path_of_nothing_is_missing():
    assert transform({"@arrayPath": ["$.gone", SKU]}, EVENT) is MISSING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é\n", '"é\\n"'),
        (None, "null"),
        (1.0, "1"),
        (1e-7, "1e-7"),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_json_encodes_without_blanks(value, text):
    assert transform({"@json": {"mode": "encode", "value": {"@path": "v"}}}, {"v": value}) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":[1]}', {"a": [1]}),
        (' "x" ', "x"),
        ("null", None),
        ("no JSON", "no JSON"),
        ("[1.0,2.5e3,1e300]", [1, 2500, 1e300]),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ('{"a":-1e999}', '{"a":-1e999}'),
        ("[1,]", "[1,]"),
        ("9" * 5_000, "9" * 5_000),
        ("[" * 5_000, "[" * 5_000),
        (5, 5),
        (None, None),
    ],
)
def test_json_decodes_texts_and_leaves_what_is_no_json(text, value):
    assert transform({"@json": {"mode": "decode", "value": {"@path": "v"}}}, {"v": text}) == value


def test_json_of_nothing_is_missing():
    assert transform({"@json": {"mode": "encode", "value": GONE}}, EVENT) is MISSING
    assert transform({"@json": {"mode": "decode", "value": GONE}}, EVENT) is MISSING


@pytest.mark.parametrize(
    ("value", "options", "flat"),
    [
        ({"a": {"b": 1}, "c": [2, {"d": 3}]}, {}, {"a_b": 1, "c_0": 2, "c_1_d": 3}),
        ({"a": [1, {"b": 2}]}, {"omitArrays": True}, {"a": [1, {"b": 2}]}),
        ({"a": {}, "b": [], "c": None}, {}, {"c": None}),
        ({"a": {"b": 1}, "a_b": 2}, {}, {"a_b": 2}),
        ([1], {}, {"0": 1}),
        ("text", {}, {"": "text"}),
    ],
)
def test_flatten_joins_keys(value, options, flat):
    mapping = {"@flatten": {"value": {"@path": "v"}, "separator": "_", **options}}

    assert transform(mapping, {"v": value}) == flat


def test_flatten_of_nothing_is_empty():
    assert transform({"@flatten": {"value": GONE, "separator": "_"}}, EVENT) == {}


@pytest.mark.parametrize(("direction", "winner"), [("right", 2), ("left", 1)])
def test_merge_lets_one_side_win(direction, winner):
    merged = {"@merge": {"objects": [{"a": 1, "b": 1}, {"a": 2}], "direction": direction}}

    assert transform(merged, {}) == {"a": winner, "b": 1}


@pytest.mark.parametrize("value", [None, "text", 5, True, ["a"]])
def test_merge_takes_nothing_from_what_is_no_object(value):
    merged = {"@merge": {"objects": [{"a": 1}, {"@path": "v"}], "direction": "right"}}

    assert transform(merged, {"v": value}) == {"a": 1}
    assert transform(merged, {}) == {"a": 1}


def test_merge_takes_a_key_away_where_the_winner_has_a_missing_value():
    merged = {"@merge": {"objects": [{"@path": "t"}, {"email": GONE}], "direction": "right"}}

    assert transform(merged, {"t": {"email": "e", "name": "n"}}) == {"name": "n"}


def test_transform_maps_what_was_applied():
    mapping = {"@transform": {"apply": {"k": HERE}, "mapping": {"v": {"@path": "$.k"}, "g": HERE}}}

    assert transform(mapping, EVENT) == {"v": "x"}


def test_exclude_when_null_drops_null_from_objects_and_not_from_lists():
    mapping = {"v": {"@excludeWhenNull": {"@path": "$"}}, "n": {"@excludeWhenNull": NULL}}
    event = {"$": {"a": None, "b": {"c": None, "d": [None, {"e": None}]}}, "null": None}

    assert transform(mapping, event) == {"v": {"b": {"d": [None, {"e": None}]}}}


def test_a_literal_resolves_the_directives_in_it():
    assert transform({"@literal": {"a": HERE, "b": "$.here"}}, EVENT) == {"a": "x", "b": "$.here"}


def test_neither_event_nor_mapping_is_changed():
    mapping = {
        "r": {"@replace": {"value": HERE, "pattern": "x"}},
        "m": {"@merge": {"objects": [{"@path": "nested"}, {"z": 1}], "direction": "left"}},
        "e": {"@excludeWhenNull": {"@path": "nested"}},
        "__segment_internal_directive": {"@transform": {"apply": {"nested": {"@path": "nested"}}}},
    }
    before, event_before = copy.deepcopy(mapping), copy.deepcopy(EVENT)
    transform(mapping, EVENT)

    assert (mapping, EVENT) == (before, event_before)


def test_a_payload_shares_nothing_with_the_mapping():
    run = compile_mapping({"constant": {"list": [1]}})
    run({})["constant"]["list"].append(2)

    assert run({}) == {"constant": {"list": [1]}}


@pytest.mark.parametrize(
    ("directive", "event"),
    [("@path", {"v": 5}), ("@path", {}), ("@template", {"v": None}), ("@template", {"v": ["x"]})],
)
def test_an_event_that_brings_no_text_where_one_is_needed_fails(directive, event):
    with pytest.raises(MappingFailed, match=r"a\.b\." + directive):
        transform({"a": {"b": {directive: {"@path": "v"}}}}, event)


@pytest.mark.parametrize("event", [None, [], "text", 5, True])
def test_what_is_no_event_fails(event):
    with pytest.raises(MappingFailed, match="an event is an object"):
        transform({"a": 1}, event)
