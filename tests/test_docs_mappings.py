"""The page on mapping files: every example, table and command on it is run.

A block or a table that the tests cannot place is a fault as well, so nothing stands there
that only looks as if it were true. The page writes

    ```yaml file       a whole file; its first line names it, or the fence does
    ```yaml broken     the same, of which the page shows what is wrong with it
    ```yaml fields     a part of a file: what stands beside it is left out
    ```json event      an event; one with a name is used by a table
    ```json sent       what a mapping, named in the line above, makes of the event
    ```ini settings    settings that an example needs
    ```console         commands and what they write
"""

import itertools
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from destination.cli import main
from destination.errors import InvalidMapping, MappingFailed
from destination.mapping import (
    MISSING,
    bounds,
    compile_mapping,
    compile_trigger,
    conditions,
    expand,
    files,
    liquid,
    paths,
    templates,
    triggers,
)
from destination.mapping.directives import DIRECTIVES
from destination.routing import arrive
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "mappings.md"

KINDS = {
    "yaml file",
    "yaml broken",
    "yaml fields",
    "json file",
    "json event",
    "json sent",
    "ini settings",
    "console",
}


@dataclass(frozen=True)
class Block:
    """A fenced piece of the page."""

    kind: str
    #: What stands behind its kind: the name of an event or a file.
    name: str
    text: str
    #: The line of text above it.
    lead: str


@dataclass(frozen=True)
class Table:
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass
class Section:
    """A heading of the page, and what stands below it up to the next one."""

    title: str
    #: The heading of the second level that it belongs to.
    chapter: str
    #: Blocks, tables, and the lines of text between them, in their order.
    items: list[Block | Table | str] = field(default_factory=list)

    def blocks(self, *kinds: str) -> list[Block]:
        return [item for item in self.items if isinstance(item, Block) and item.kind in kinds]

    def tables(self) -> list[Table]:
        return [item for item in self.items if isinstance(item, Table)]


def parse(text: str) -> Iterator[Section]:
    """Divide the page into its sections. Raises AssertionError for what is not well-formed."""
    lines = iter(text.splitlines())
    section = Section(title="", chapter="")
    chapter = lead = ""
    for line in lines:
        if heading := re.fullmatch(r"(#{1,4}) (.+)", line):
            yield section
            title = heading[2].strip("`")
            chapter = title if heading[1] == "##" else chapter
            section, lead = Section(title=title, chapter=chapter), ""
        elif line.startswith("```"):
            kind, name = _kind(line.removeprefix("```"))
            inside = list(itertools.takewhile(lambda each: each != "```", lines))
            section.items.append(Block(kind, name, "\n".join(inside) + "\n", lead))
        elif line.startswith("|"):
            section.items.append(_table([line, *itertools.takewhile(str.strip, lines)]))
        elif line:
            assert not re.match(r"\s*(```|~~~|\|)|\s{3}", line), f"nothing runs this: {line}"
            section.items.append(line)
            lead = line
    yield section


def _kind(info: str) -> tuple[str, str]:
    kind = next((each for each in KINDS if f"{info} ".startswith(f"{each} ")), None)
    assert kind, f"``` {info} is no kind of example"
    return kind, info.removeprefix(kind).strip()


def _table(lines: list[str]) -> Table:
    header, rule, *rows = (_cells(line) for line in lines)
    assert set("".join(rule)) == {"-"}, lines[1]
    assert rows
    assert all(len(row) == len(header) for row in (rule, *rows)), header
    return Table(header, rows)


def _cells(line: str) -> tuple[str, ...]:
    assert line.startswith("|"), line
    assert line.endswith("|"), line
    cells = re.split(r"(?<!\\)\|", line[1:-1])
    return tuple(cell.strip().replace("\\|", "|") for cell in cells)


SECTIONS = list(parse(PAGE.read_text()))


def rows(*header: str, title: str | None = None) -> list[tuple[str, ...]]:
    """The rows of every table with this header, or of those in one section."""
    return [
        row
        for section in SECTIONS
        if title in (None, section.title)
        for table in section.tables()
        if table.header == header
        for row in table.rows
    ]


def codes(cell: str) -> list[str]:
    """What stands in backticks in a cell, which has nothing else in it."""
    assert re.fullmatch(r"(or|\s)*", re.sub(r"`[^`]+`", "", cell)), cell
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    [found] = codes(cell)
    return found


def from_yaml(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def text_of(value: object) -> str:
    """JSON that shows each difference: 1 is not true, nor 1.0."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def sections(*kinds: str) -> pytest.MarkDecorator:
    """Run a test on each section that has one of these blocks."""
    found = [section for section in SECTIONS if section.blocks(*kinds)]
    assert found
    return pytest.mark.parametrize("section", found, ids=lambda section: section.title)


def cases(names: str, found: list[tuple[str, ...]]) -> pytest.MarkDecorator:
    """Run a test on each row of a table."""
    assert found
    return pytest.mark.parametrize(names, found)


@pytest.fixture
def folder(tmp_path):
    """A folder of mappings with the presets in it, as the examples find it."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    return tmp_path / "mappings"


@pytest.fixture
def faults(setup):
    def faults(folder):
        ours = setup()
        return list(map(str, files.read_mappings(folder, list(ours.sources), ours.actions)[1]))

    return faults


@pytest.fixture
def send(setup):
    """What becomes of an event: `(mapping, payload as JSON)` of each delivery, and the reasons."""

    def send(event, folder, **settings):
        arrival = arrive(event, "segment", setup(MAPPINGS=str(folder), **settings).routes())
        sent = [(each.mapping, text_of(json.loads(each.payload))) for each in arrival.deliveries]
        return sent, [discard.reason for discard in arrival.discards]

    return send


@pytest.fixture
def send_fields(send, tmp_path):
    """The same for a part of a file; of what is sent, without what the test puts beside it."""

    def send_fields(part, event):
        written = re.findall(r"^  (\w+):", part, re.MULTILINE)
        action, beside = "trackEvent", {"event_name": "Example", "source_id": "$.userId"}
        if event["type"] == "identify":
            action, beside = "identifyUser", {"source_id": "$.userId"}
        added = {name: value for name, value in beside.items() if name not in written}
        lines = [f"  {name}: {value}\n" for name, value in added.items()]
        head = f'name: Example\naction: {action}\ntrigger: type = "{event["type"]}"\n'
        write(tmp_path / "part", "segment-to-rehook/example.yaml", head + part + "".join(lines))
        sent, reasons = send(event, tmp_path / "part")
        payloads = [json.loads(payload) for _, payload in sent]
        shown = [{k: v for k, v in payload.items() if k not in added} for payload in payloads]
        return shown, reasons

    return send_fields


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def path_of(block: Block) -> str:
    """Where a file of the page belongs, below the folder of mappings."""
    path = block.name or block.text.splitlines()[0].removeprefix("# ")
    assert re.fullmatch(r"mappings/segment-to-rehook/[a-z-]+\.(yaml|json)", path), path
    return path.removeprefix("mappings/")


def write_files(section: Section, folder: Path) -> None:
    for block in section.blocks("yaml file", "json file"):
        write(folder, path_of(block), block.text)


# The page itself.


def test_every_table_is_one_that_is_run():
    known = {
        ("Key", "Required", "What it says"),
        ("Field", "Type", "Required", "What it is"),
        ("You write", "It means"),
        ("You write", "What becomes of it", "Write instead"),
        ("You want to", "Use"),
        ("A trigger reads", "That is"),
        ("Condition", "Fires on", "Does not fire on"),
        ("Field", "The event's value", "What is sent"),
        ("Reason", "What it means", "For example"),
        ("In the mapping", "Event", "Segment sends", "Here", "Why", "Write"),
        ("Trigger", "Event", "Segment", "Here", "Why", "Write"),
        ("What", "Limit"),
    }

    assert {table.header for section in SECTIONS for table in section.tables()} == known


def test_every_fence_closes():
    fences = [line for line in PAGE.read_text().splitlines() if line.lstrip().startswith("```")]

    assert [fence == "```" for fence in fences] == [False, True] * (len(fences) // 2)


def test_every_block_stands_where_it_is_run():
    for section in SECTIONS:
        kinds = {item.kind for item in section.items if isinstance(item, Block)}
        unnamed = any(not block.name for block in section.blocks("json event"))
        if "yaml fields" in kinds:
            assert kinds == {"json event", "yaml fields", "json sent"}, section.title
        elif "json sent" in kinds:
            assert unnamed, section.title
        assert not ({"ini settings"} & kinds and not unnamed), section.title
        assert not ("yaml broken" in kinds and "console" not in kinds), section.title


def test_every_link_leads_to_a_heading():
    anchors = {re.sub(r"[^\w -]", "", each.title.lower()).replace(" ", "-") for each in SECTIONS}

    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE.read_text())) <= anchors


def test_no_line_is_too_long_to_read_but_those_of_tables_and_examples():
    lines = [item for section in SECTIONS for item in section.items if isinstance(item, str)]

    assert [line for line in lines if len(line) > 100] == []


# Files.


def test_the_presets_on_the_page_are_those_that_ship():
    [section] = [each for each in SECTIONS if each.title == "What a mapping is"]
    shown = {path_of(block): block.text for block in section.blocks("yaml file")}
    shipped = {
        str(path.relative_to(ROOT / "mappings")): path.read_text()
        for path in files.files(ROOT / "mappings")
    }

    assert {path: from_yaml(text) for path, text in shown.items()} == {
        path: from_yaml(text) for path, text in shipped.items()
    }


def test_a_preset_that_makes_room_for_another_mapping_differs_in_its_trigger_alone():
    shipped = from_yaml((ROOT / "mappings/segment-to-rehook/track-event.yaml").read_text())
    shown = [
        from_yaml(block.text)
        for section in SECTIONS
        for block in section.blocks("yaml file")
        if path_of(block).endswith("/track-event.yaml")
    ]

    assert len(shown) > 1
    assert all({**preset, "trigger": shipped["trigger"]} == shipped for preset in shown)


@sections("yaml file", "json file")
def test_the_files_of_a_section_pass_lint_beside_the_presets(section, folder, faults):
    write_files(section, folder)

    assert faults(folder) == []


@sections("yaml broken")
def test_a_file_that_is_shown_as_broken_does_not_pass_lint(section, folder, faults):
    for block in section.blocks("yaml broken"):
        write(folder, path_of(block), block.text)

        assert faults(folder)


def test_the_keys_of_a_file_are_those_of_the_schema():
    shown = {code(key): required for key, required, _ in rows("Key", "Required", "What it says")}

    assert shown == {
        key: "yes" if key in files.SCHEMA["required"] else "no"
        for key in files.SCHEMA["properties"]
    }


def test_every_action_is_shown_with_its_fields(setup):
    header = ("Field", "Type", "Required", "What it is")
    titles = {
        section.title
        for section in SECTIONS
        if any(table.header == header for table in section.tables())
    }
    shown = {
        title: [(code(name), kind, need) for name, kind, need, _ in rows(*header, title=title)]
        for title in titles
    }

    assert shown == {
        action: [
            (name, each.type_name, "yes" if each.required else "no")
            for name, each in schema.fields.items()
        ]
        for action, schema in setup().actions["rehook"].items()
    }


# Events, and what is sent.


def steps(section: Section) -> Iterator[tuple[dict, list[tuple[str, str]], list[str]]]:
    """Each event of a section, with what the page says is sent, and the reasons where nothing is."""
    event = None
    sent: list[tuple[str, str]] = []
    reasons: list[str] = []
    for item in section.items:
        if isinstance(item, Block) and item.kind == "json event":
            if event is not None:
                yield event, sent, reasons
            event, sent, reasons = json.loads(item.text), [], []
        elif isinstance(item, Block) and item.kind == "json sent":
            named = re.fullmatch(r"\*\*(.+)\*\* sends:", item.lead)
            assert named, f"who sends it? {item.lead}"
            sent.append((named[1], text_of(json.loads(item.text))))
        elif isinstance(item, str) and item.startswith("**Nothing is sent"):
            reasons.append(code(item.removeprefix("**Nothing is sent:**")))
    yield event, sent, reasons


EXAMPLES = [
    section
    for section in SECTIONS
    if not section.blocks("yaml fields")
    and any(not block.name for block in section.blocks("json event"))
]


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda section: section.title)
def test_an_event_makes_what_the_page_shows(section, folder, send):
    write_files(section, folder)
    settings = {
        name.removeprefix("DESTINATION_"): value
        for block in section.blocks("ini settings")
        for name, value in (line.split("=") for line in block.text.splitlines())
    }

    for event, sent, reasons in steps(section):
        assert sent or reasons, "an event without a result"
        assert send(event, folder, **settings) == (sent, reasons)


def test_every_recipe_is_a_whole_file_with_an_event_and_what_is_sent():
    recipes = [each for each in SECTIONS if each.chapter == "Recipes" and each.title != "Recipes"]

    assert len(recipes) >= 10
    for recipe in recipes:
        assert recipe.blocks("yaml file"), recipe.title
        assert recipe.blocks("json event"), recipe.title
        assert recipe.blocks("json sent"), recipe.title


@sections("yaml fields")
def test_a_directive_makes_what_the_page_shows(section, send_fields):
    examples = zip(
        section.blocks("json event"),
        section.blocks("yaml fields"),
        section.blocks("json sent"),
        strict=True,
    )
    for event, part, sent in examples:
        shown, reasons = send_fields(part.text, json.loads(event.text))

        assert list(map(text_of, shown)) == [text_of(json.loads(sent.text))]
        assert reasons == []


def test_every_directive_has_a_section_that_uses_it():
    shown = {
        section.title: section.blocks("yaml fields")
        for section in SECTIONS
        if section.chapter == "Directives" and section.title != "Directives"
    }

    assert set(shown) == set(DIRECTIVES)
    for name, parts in shown.items():
        assert any(f'"{name}":' in part.text for part in parts), name


def test_every_directive_is_in_the_table_above_them():
    shown = [re.fullmatch(r"\[`(@\w+)`\]\(#\w+\)", use) for _, use in rows("You want to", "Use")]

    assert [link[1] for link in shown] == list(DIRECTIVES)


def test_every_recipe_is_in_the_list_above_them():
    [chapter] = [section for section in SECTIONS if section.title == "Recipes"]
    linked = [re.fullmatch(r"- \[(.+)\]\(#.+\)", line) for line in chapter.items]

    assert [link[1] for link in linked if link] == [
        section.title
        for section in SECTIONS
        if section.chapter == "Recipes" and section is not chapter
    ]


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
    used = set()
    while found:
        each = found.pop()
        if isinstance(each, conditions.Group):
            used.add(each.word)
            found += each.conditions
        else:
            used.add((each.operator, conditions._kind(each.constant)))

    assert used == {*conditions._TESTS, "and", "or"}


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
    assert '`type = track` is `type = "track"`' in PAGE.read_text()
    assert compile_trigger("type = track")({"type": "track"})


# Limits.


def test_the_limits_are_those_of_the_kit(setup):
    shown = dict(rows("What", "Limit"))

    assert shown == {
        "A file": f"{files.MAX_BYTES:,} characters",
        "A mapping's name": f"{files.SCHEMA['properties']['name']['maxLength']} characters",
        "A mapping's fields, all together": f"{bounds.LARGEST_MAPPING:,} characters",
        "Objects, lists and directives inside one another": f"{bounds.DEEPEST} levels",
        "A trigger": f"{triggers.LONGEST_TRIGGER // 1024} KB",
        "Parentheses inside one another": f"{triggers.DEEPEST_TRIGGER} levels",
        "A path": f"{paths.LONGEST_PATH:,} characters",
        "A template": f"{templates.LONGEST_TEMPLATE:,} characters",
        "A `@liquid` program": f"{liquid.LONGEST_PROGRAM:,} characters",
        "A pattern or replacement in `@replace`": "10 characters",
        "The separator in `@flatten`": "100 characters",
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
    ],
)
def test_a_directive_takes_a_text_as_long_as_the_page_says(label, directive):
    longest = int(dict(rows("What", "Limit"))[label].removesuffix(" characters"))

    compile_mapping(directive("x" * longest))
    with pytest.raises(InvalidMapping):
        compile_mapping(directive("x" * (longest + 1)))


# Commands.


@sections("console")
def test_a_command_writes_what_the_page_shows(section, folder, monkeypatch):
    shutil.copytree(ROOT / "fixtures", folder.parent / "fixtures")
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("DESTINATION_MAPPINGS")
    for block in section.blocks("yaml file", "yaml broken", "console"):
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


def test_every_command_on_the_page_is_one_of_ours():
    named = set(re.findall(r"`destination ([a-z]+)", PAGE.read_text()))

    assert {"lint", "preview"} <= named
    assert named <= set(main.commands)
