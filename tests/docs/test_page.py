"""The pages on mapping files: nothing stands on them that is not run."""

import re

import pytest

from destination.mapping import files
from destination.partners.base.fields import IdField
from tests.conftest import ROOT
from tests.docs.page import (
    PAGES,
    SECTIONS,
    Block,
    code,
    from_yaml,
    path_of,
    rows,
    sections,
    write,
    write_files,
)

# The pages themselves.


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


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
        ("You want to", "Read"),
        ("From", "To", "Folder", "Read"),
    }

    assert {table.header for section in SECTIONS for table in section.tables()} == known


@pages
def test_every_fence_closes(page):
    fences = [line for line in page.read_text().splitlines() if line.lstrip().startswith("```")]

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
        assert not ({"yaml broken", "json saved"} & kinds and "console" not in kinds), section.title


def test_the_signpost_leads_to_every_page():
    linked = set(re.findall(r"\]\(mappings/([a-z-]+)\.md\)", PAGES[0].read_text()))

    assert linked == {page.stem for page in PAGES[1:]}


def test_no_line_is_too_long_to_read_but_those_of_tables_and_examples():
    lines = [line for section in SECTIONS for line in section.lines()]

    assert [line for line in lines if len(line) > 100] == []


# Files.


def test_the_presets_in_the_reference_are_those_that_ship_for_rehook():
    [section] = [each for each in SECTIONS if each.title == "The presets"]
    shown = {path_of(block): block.text for block in section.blocks("yaml file")}
    shipped = {
        str(path.relative_to(ROOT / "mappings")): path.read_text()
        for path in files.files(ROOT / "mappings" / "segment-to-rehook")
    }

    presets = {path: from_yaml(text) for path, text in shipped.items()}
    assert {path: from_yaml(text) for path, text in shown.items()} == {
        path: preset for path, preset in presets.items() if "enabled" not in preset
    }


def test_a_preset_that_is_switched_off_is_shown_switched_on_in_a_recipe():
    shown = {
        path_of(block): from_yaml(block.text)
        for section in SECTIONS
        if section.page == "recipes"
        for block in section.blocks("yaml file")
    }

    for path in files.files(ROOT / "mappings"):
        preset = from_yaml(path.read_text())
        if preset.pop("enabled", True) is False:
            assert shown[str(path.relative_to(ROOT / "mappings"))] == preset


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


def type_shown(field):
    """What the page calls the type of a field: a customer is an id."""
    return "id" if isinstance(field, IdField) else type(field).__name__[: -len("Field")].lower()


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
            (name, type_shown(each), "yes" if each.required else "no")
            for name, each in schema.fields.items()
        ]
        for actions in setup().actions.values()
        for action, schema in actions.items()
    }
