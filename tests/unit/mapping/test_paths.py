"""Paths: how an event's values are reached."""

import pytest

from destination.mapping import MISSING, transform

EVENT = {
    "userId": "u1",
    "traits": {
        "name": "Ann",
        "none": None,
        "empty": "",
        "zero": 0,
        "no": False,
        "list": [],
        "b.c": "dotted",
        "b": {"c": "nested"},
        "1": "one",
        "größe": "XL",
        "first name": "Ann",
        "it's": "quoted",
        "its": "unquoted",
    },
    "products": [{"sku": "A", "tags": ["x", "y"]}, {"sku": "B"}],
    "[txt] non": "kept",
    "a[b]": "one key",
}


def at(path):
    return transform({"@path": path}, EVENT)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.userId", "u1"),
        ("userId", "u1"),
        ("$.traits.name", "Ann"),
        ("traits['name']", "Ann"),
        ('traits["name"]', "Ann"),
        ("['traits'].name", "Ann"),
        ("$.traits.1", "one"),
        ("traits[1]", "one"),
        ("$.traits.größe", "XL"),
        ("$.traits.first name", "Ann"),
        ("products[0].sku", "A"),
        ("products.1.sku", "B"),
        ("products[0].tags[1]", "y"),
        ("products[0]['tags'][0]", "x"),
        ("traits..name", "Ann"),
        ("traits.name.", "Ann"),
        ("[txt] non", "kept"),
        ("a[b]", "one key"),
        ("traits.name[0]", "A"),
    ],
)
def test_a_path_reaches_a_value(path, found):
    assert at(path) == found


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "traits.nothing.deeper",
        "products[2]",
        "products[-1]",
        "products[00]",
        "products.sku",
        "userId.name",
        "traits.name[3]",
        "traits.list[0]",
        "$",
    ],
)
def test_a_path_to_nothing_is_missing(path):
    assert at(path) is MISSING


@pytest.mark.parametrize("path", ["products.length", "userId.constructor.name", "traits.toString"])
def test_a_path_does_not_reach_what_javascript_values_inherit(path):
    assert at(path) is MISSING


@pytest.mark.parametrize("path", ["", ".", "$.", "$..", "[["])
def test_a_path_without_keys_is_the_whole_event(path):
    assert transform({"v": {"@path": path}}, EVENT) == ({"v": EVENT} if path != "[[" else {})


@pytest.mark.parametrize(
    ("path", "found"),
    [("traits.none", None), ("traits.empty", ""), ("traits.zero", 0), ("traits.no", False)],
)
def test_a_path_through_null_and_the_like_ends_there(path, found):
    assert at(f"{path}.further.on") is found or at(f"{path}.further.on") == found


def test_only_a_leading_dollar_is_removed():
    assert transform({"@path": "a$.b"}, {"a$": {"b": 1}, "ab": 2}) == 1


def test_quotes_are_no_part_of_a_key():
    assert at("traits.it's") == "unquoted"


def test_a_quoted_key_with_a_dot_is_found():
    assert at('traits["b.c"]') == "dotted"


def test_a_quoted_key_with_a_dot_is_two_keys_where_there_is_no_such_key():
    assert transform({"@path": 'traits["b.c"]'}, {"traits": {"b": {"c": "nested"}}}) == "nested"


def test_a_path_may_come_from_the_event():
    assert transform({"@path": {"@path": "$.where"}}, {"where": "$.a.b", "a": {"b": 1}}) == 1
