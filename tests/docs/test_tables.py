"""Every row of the pages' tables is true."""

import json
import re
import shlex
import shutil

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.errors import InvalidMapping, MappingFailed
from destination.mapping import (
    MISSING,
    bounds,
    compile_mapping,
    compile_trigger,
    conditions,
    documents,
    expand,
    files,
    paths,
    triggers,
)
from destination.mapping.directives import join, liquid, number, template
from tests.conftest import ROOT
from tests.docs.page import (
    PAGES,
    SECTIONS,
    cases,
    code,
    codes,
    from_yaml,
    path_of,
    rows,
    sections,
    text_of,
    write,
)

# The short way.


@cases("short, full", rows("You write", "It means"))
def test_what_is_written_short_means_what_the_page_says(short, full):
    assert text_of(expand(from_yaml(code(short)))) == text_of(json.loads(code(full)))


@cases("given, becomes, instead", rows("You write", "What becomes of it", "Write instead"))
def test_a_text_without_quotes_becomes_what_the_page_says(given, becomes, instead, send_fields):
    part = "fields:\n  metadata:\n    value: "
    event = {"type": "identify", "userId": "u1", "event": "A"}

    [shown], _ = send_fields(part + code(instead) + "\n", event)
    meant = "A today" if "{{" in instead else from_yaml(code(instead))
    assert shown == {"metadata": {"value": meant}}
    assert isinstance(meant, str)
    if becomes == "refused":
        with pytest.raises(InvalidMapping):
            send_fields(part + code(given) + "\n", event)
    else:
        [value] = re.findall(r"`([^`]+)`", becomes)
        [shown], _ = send_fields(part + code(given) + "\n", event)
        assert text_of(shown) == text_of({"metadata": {"value": json.loads(value)}})


# Triggers.

CONDITIONS = rows("Condition", "Fires on", "Does not fire on")


@cases("condition, fires_on, not_on", CONDITIONS)
def test_a_condition_fires_on_what_the_page_says(condition, fires_on, not_on):
    fires = compile_trigger(code(condition))

    assert codes(fires_on)
    assert codes(not_on)
    assert [event for event in codes(fires_on) if not fires(json.loads(event))] == []
    assert [event for event in codes(not_on) if fires(json.loads(event))] == []


def test_every_operator_is_shown_with_every_kind_of_value(monkeypatch):
    found = []
    monkeypatch.setattr(triggers, "compile_condition", found.append)
    for condition, _, _ in CONDITIONS:
        compile_trigger(code(condition))
    words, compared = set(), set()
    while found:
        each = found.pop()
        if isinstance(each, conditions.Group):
            words.add(each.word)
            found += each.conditions
        else:
            compared.add((each.operator, conditions._kind(each.constant)))

    assert (compared, words) == ({*conditions._TESTS}, {"and", "or"})


def test_every_word_of_a_trigger_is_shown():
    shown = " ".join(code(condition) for condition, _, _ in CONDITIONS)

    for word in [" and ", " or ", "not ", "!(", "!contains(", "!match(", "null", "true", "false"]:
        assert word in shown
    assert all(f"{function}(" in shown for function in triggers._FUNCTIONS)


def test_every_field_that_a_trigger_reads_is_shown():
    listed = [code(name) for name, _ in rows("A trigger reads", "That is")]
    used = " ".join(code(condition) for condition, _, _ in CONDITIONS)

    assert [name.split(".")[0] for name in listed] == list(triggers._FIELDS)
    assert all(re.search(rf"\b{name}\b", used) for name in triggers._FIELDS)
    for name in listed:
        compile_trigger(f"{name} != null")


# Empty values and reasons.


@cases("name, value, outcome", rows("Field", "The event's value", "What is sent"))
def test_a_field_sends_of_a_value_what_the_page_says(name, value, outcome, send_fields):
    name = code(name)
    kind = "identify" if name == "referral_code" else "track"
    event = {"type": kind, "userId": "u1"}
    if value != "missing":
        event["value"] = json.loads(code(value))
    shown, reasons = send_fields(f"fields:\n  {name}: $.value\n", event)

    if outcome.startswith("nothing, "):
        assert (shown, reasons) == ([], codes(outcome.removeprefix("nothing, ")))
    elif outcome == "without the field":
        assert (shown, reasons) == ([{}], [])
    else:
        assert text_of(shown) == text_of([{name: json.loads(code(outcome))}])
        assert reasons == []


@cases("reason, meaning, event", rows("Reason", "What it means", "For example"))
def test_an_event_that_is_not_sent_has_the_reason_on_the_page(reason, meaning, event, folder, send):
    assert send(json.loads(code(event)), folder) == ([], [code(reason)])


# Coming from Segment.

NAMED = {
    block.name: json.loads(block.text)
    for section in SECTIONS
    for block in section.blocks("json event")
    if block.name
}


@cases(
    "given, event, segment, here, why, instead",
    rows("In the mapping", "Event", "Segment sends", "Here", "Why", "Write"),
)
def test_a_value_that_segment_takes_otherwise_makes_what_the_page_says(
    given, event, segment, here, why, instead
):
    mapping, event = json.loads(code(given)), json.loads(code(event))

    assert segment == "nothing" or json.loads(code(segment)) is not MISSING
    assert segment != here
    if instead != "as it is":
        compile_mapping(expand(json.loads(code(instead))))
    if here == "refused":
        with pytest.raises(InvalidMapping):
            compile_mapping(expand(mapping))
        assert instead != "as it is"
        return
    run = compile_mapping(expand(mapping))
    if here == "nothing":
        assert run(event) is MISSING
    elif here == "this event is not sent: `mapping_failed`":
        with pytest.raises(MappingFailed):
            run(event)
    else:
        assert text_of(run(event)) == text_of(json.loads(code(here)))


@cases(
    "trigger, event, segment, here, why, instead",
    rows("Trigger", "Event", "Segment", "Here", "Why", "Write"),
)
def test_a_trigger_that_segment_takes_otherwise_does_what_the_page_says(
    trigger, event, segment, here, why, instead
):
    trigger = code(trigger).replace("\\r\\n", "\r\n")

    assert segment in ("fires", "does not fire", "refused, without saying why")
    if here == "refused":
        with pytest.raises(InvalidMapping):
            compile_trigger(trigger)
        assert codes(instead)
        assert all(compile_trigger(each) for each in codes(instead))
        return
    assert instead == "as it is"
    assert here == ("fires" if compile_trigger(trigger)(NAMED[event]) else "does not fire")


def test_every_event_with_a_name_is_used_by_a_table():
    used = {row[1] for row in rows("Trigger", "Event", "Segment", "Here", "Why", "Write")}

    assert used == set(NAMED)


def test_a_word_without_quotes_is_a_text_as_the_page_says():
    assert '`type = track` is `type = "track"`' in "".join(page.read_text() for page in PAGES)
    assert compile_trigger("type = track")({"type": "track"})


# Limits.


LIMITS = {row[0]: row[1] for row in rows("What", "Limit")}


def test_the_limits_are_those_of_the_kit(setup):
    shown = dict(LIMITS)

    assert shown == {
        "A file": f"{documents.MAX_BYTES:,} characters",
        "A mapping's name": f"{files.SCHEMA['properties']['name']['maxLength']} characters",
        "A mapping's fields, all together": f"{bounds.LARGEST_MAPPING:,} characters",
        "Objects, lists and directives inside one another": f"{bounds.DEEPEST} levels",
        "A trigger": f"{triggers.LONGEST_TRIGGER // 1024} KB",
        "Parentheses inside one another": f"{triggers.DEEPEST_TRIGGER} levels",
        "A path": f"{paths.LONGEST_PATH:,} characters",
        "A template": f"{template.LONGEST_TEMPLATE:,} characters",
        "A `@liquid` program": f"{liquid.LONGEST_PROGRAM:,} characters",
        "A pattern or replacement in `@replace`": "10 characters",
        "The separator in `@flatten`": "100 characters",
        "The separator in `@join`": f"{join.LONGEST_SEPARATOR} characters",
        "A key in `@omit`": f"{paths.LONGEST_PATH:,} characters",
        "The `decimals` of `@number`": f"{number.MOST_DECIMALS}",
        "An event that arrives": f"{setup().settings.max_event_bytes // 1024} KB",
        "What one mapping's directives write for one event": f"{bounds.LARGEST_OUTPUT:,} characters",
        "The time that one mapping takes for one event": (
            f"{bounds.LONGEST_RUN * 1000:.0f} ms of computing"
        ),
    }


@pytest.mark.parametrize(
    ("label", "directive"),
    [
        (
            "A pattern or replacement in `@replace`",
            lambda text: {"@replace": {"value": "x", "pattern": text, "replacement": text}},
        ),
        (
            "The separator in `@flatten`",
            lambda text: {"@flatten": {"value": {}, "separator": text}},
        ),
        (
            "The separator in `@join`",
            lambda text: {"@join": {"values": ["x"], "separator": text}},
        ),
        (
            "A key in `@omit`",
            lambda text: {"@omit": {"value": {}, "keys": [text]}},
        ),
    ],
)
def test_a_directive_takes_a_text_as_long_as_the_page_says(label, directive):
    longest = int(LIMITS[label].removesuffix(" characters").replace(",", ""))

    compile_mapping(directive("x" * longest))
    with pytest.raises(InvalidMapping):
        compile_mapping(directive("x" * (longest + 1)))


# Commands.


@sections("console")
def test_a_command_writes_what_the_page_shows(section, folder, monkeypatch):
    shutil.copytree(ROOT / "fixtures", folder.parent / "fixtures")
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("DESTINATION_MAPPINGS")
    for block in section.blocks("yaml file", "yaml broken", "json saved", "console"):
        if block.kind == "json saved":
            write(folder.parent, block.name, block.text)
            continue
        if block.kind != "console":
            write(folder, path_of(block), block.text)
            continue
        first, *commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not first
        assert commands
        for command in commands:
            line, _, output = command.partition("\n")
            program, *arguments = shlex.split(line)
            assert program == "destination"
            result = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert result.output.rstrip() == output.rstrip()


def test_every_command_on_the_pages_is_one_of_ours():
    named = set(re.findall(r"`destination ([a-z]+)", "".join(page.read_text() for page in PAGES)))

    assert {"lint", "preview"} <= named
    assert named <= set(main.commands)
