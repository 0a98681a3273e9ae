"""The schema that editors read: up to date, kind to good files, and strict with typing errors."""

import json

import jsonschema
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from destination.cli import main
from destination.mapping.directives import DIRECTIVES
from tests.conftest import ROOT
from tests.docs.page import SECTIONS, rows

FILE = ROOT / "mappings" / ".schema.json"

FIELDS: dict[str, object] = {"event_name": "order", "source_id": "$.userId"}

GOOD: dict[str, object] = {
    "name": "Order",
    "action": "trackEvent",
    "trigger": 'type = "track"',
    "fields": FIELDS,
}

PAGE = [
    pytest.param(block.text, id=f"{section.title} {number}")
    for section in SECTIONS
    for number, block in enumerate(section.blocks("yaml file", "json file"))
]
PARTS = [
    pytest.param(block.text, id=section.title)
    for section in SECTIONS
    for block in section.blocks("yaml fields")
]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(FILE.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def read(text):
    return YAML(typ="safe", pure=True).load(text)


def with_metadata(value):
    return {**GOOD, "fields": {**FIELDS, "metadata": value}}


def test_the_schema_beside_the_mappings_is_the_one_that_the_command_prints():
    assert CliRunner().invoke(main, ["schema"]).output == FILE.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "mappings").rglob("*.yaml")), ids=lambda p: p.stem)
def test_a_preset_names_the_schema_and_passes_it(path, validator):
    first, _ = path.read_text().split("\n", 1)

    assert (path.parent / first.removeprefix("# yaml-language-server: $schema=")).samefile(FILE)
    assert list(validator.iter_errors(read(path.read_text()))) == []


@pytest.mark.parametrize("text", PAGE)
def test_a_file_of_the_page_passes(text, validator):
    assert list(validator.iter_errors(read(text))) == []


@pytest.mark.parametrize("text", PARTS)
def test_an_example_of_a_directive_passes(text, validator):
    fields = read(text)["fields"]

    assert list(validator.iter_errors({**GOOD, "fields": {**FIELDS, **fields}})) == []


def test_every_directive_is_offered_wherever_a_value_stands(validator):
    offered = validator.schema["definitions"]["value"]["properties"]

    assert list(offered) == list(DIRECTIVES)
    for name, directive in DIRECTIVES.items():
        assert offered[name]["description"] == directive.shape


def test_every_field_on_the_page_is_offered(validator):
    offered = [
        name
        for each in validator.schema["allOf"]
        for name in each["then"]["properties"]["fields"]["properties"]
    ]
    named = [name.strip("`") for name, *_ in rows("Field", "Type", "Required", "What it is")]

    assert sorted(offered) == sorted(named)


@pytest.mark.parametrize(
    "wrong",
    [
        {**GOOD, "nmae": "Order"},
        {key: value for key, value in GOOD.items() if key != "trigger"},
        {**GOOD, "action": "trackEvnt"},
        {**GOOD, "enabled": "no"},
        {**GOOD, "fields": {"event_name": "order"}},
        {**GOOD, "fields": {**FIELDS, "referral_code": "x"}},
        {**GOOD, "fields": {**FIELDS, "sourceid": "x"}},
        {**GOOD, "fields": {**FIELDS, "source_id": True}},
        {**GOOD, "fields": {**FIELDS, "event_name": ""}},
        {**GOOD, "fields": {**FIELDS, "event_name": {}}},
        {**GOOD, "fields": {**FIELDS, "event_name": {"name": "$.event"}}},
        {**GOOD, "fields": "$.properties"},
        with_metadata("gold"),
        with_metadata("{{event}}"),
        with_metadata([1]),
        with_metadata({"a": {"@pth": "$.event"}}),
        with_metadata({"a": [{"b": {"@pth": "$.event"}}]}),
        with_metadata({"@path": "$.properties", "note": 1}),
        with_metadata({"@path": "$.properties", "@json": {"mode": "encode", "value": 1}}),
        with_metadata({"a": {"@path": 5}}),
        with_metadata({"a": {"@case": {"operator": "LOWER", "value": "$.event"}}}),
        with_metadata({"a": {"@case": {"operator": "lower"}}}),
        with_metadata({"a": {"@case": {"operator": "lower", "vlaue": "$.event"}}}),
        with_metadata({"a": {"@case": {"operator": "lower", "value": 5}}}),
        with_metadata({"a": {"@if": {"then": 1}}}),
        with_metadata({"a": {"@if": {"exists": "$.a", "esle": 1}}}),
        with_metadata({"a": {"@if": {"exists": "$.a", "then": {"@pth": "$.a"}}}}),
        with_metadata({"a": {"@replace": {"value": "$.a", "pattern": ""}}}),
        with_metadata({"a": {"@replace": {"value": "$.a", "pattern": "a", "global": "no"}}}),
        with_metadata({"a": {"@arrayPath": "$.a"}}),
        with_metadata({"a": {"@arrayPath": ["$.a", "name"]}}),
        with_metadata({"a": {"@merge": {"objects": ["a"], "direction": "up"}}}),
        with_metadata({"a": {"@flatten": {"value": "$.a"}}}),
        with_metadata({"a": {"@transform": {"apply": {}}}}),
        with_metadata({"a": {"@liquid": {"@path": "$.a"}}}),
        with_metadata({"a": {"@join": {"values": []}}}),
        with_metadata({"a": {"@join": {"values": "Ann"}}}),
        with_metadata({"a": {"@join": {"values": {"first": "$.a"}}}}),
        with_metadata({"a": {"@join": {"separator": " "}}}),
    ],
    ids=str,
)
def test_a_typing_error_does_not_pass(wrong, validator):
    assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    "metadata",
    [
        {"@path": "$.properties", "_metadata": {"type": "track"}},
        {"a": {"@path": {"@template": "$.{{event}}"}}},
        {"a": {"@excludeWhenNull": [None, 1, "$.event"]}},
        {"a": {"@arrayPath": [{"@path": "$.a"}]}},
        {"a": {"@arrayPath": ["$.a", "$.b"]}},
        {"a": {"@join": {"values": "$.a"}}, "b": {"@join": {"values": [1, {"@path": "$.a"}]}}},
        {"@merge": {"objects": ["$.a", {"b": "$.leave.out"}], "direction": "right"}},
        {"": {"": None}},
        "$.properties",
        None,
    ],
    ids=str,
)
def test_what_lint_takes_passes(metadata, validator):
    assert list(validator.iter_errors(with_metadata(metadata))) == []
