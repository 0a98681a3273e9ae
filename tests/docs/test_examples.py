"""Every recipe and every directive on the pages makes what the pages show."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from destination.mapping.directives import DIRECTIVES
from tests.docs.page import (
    FILES,
    SECTIONS,
    Block,
    Section,
    code,
    path_of,
    rows,
    sections,
    text_of,
    write_files,
)

# Events, and what is sent.


def steps(section: Section) -> Iterator[tuple[dict[str, Any], list[tuple[str, str]], list[str]]]:
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
    assert event is not None, section.title
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
    sources = {path_of(block).partition("-to-")[0] for block in section.blocks(*FILES)}
    assert len(sources) <= 1, "whose event is it?"
    source = "".join(sources) or "segment"
    settings = {
        name.removeprefix("DESTINATION_"): value
        for block in section.blocks("ini settings")
        for name, value in (line.split("=") for line in block.text.splitlines())
    }

    for event, sent, reasons in steps(section):
        assert sent or reasons, "an event without a result"
        assert send(event, folder, source, **settings) == (sent, reasons)


RECIPES = [each for each in SECTIONS if each.page == "recipes" and each.level > 1]


def test_every_recipe_is_a_whole_file_with_an_event_and_what_is_sent():
    assert len(RECIPES) >= 10
    for recipe in RECIPES:
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
        if section.page == "directives" and section.level > 1
    }

    assert set(shown) == set(DIRECTIVES)
    for name, parts in shown.items():
        assert any(f'"{name}":' in part.text for part in parts), name


def test_a_directive_of_ours_is_marked_as_such_and_no_other_is():
    marked = [
        section.title
        for section in SECTIONS
        if section.title.startswith("@")
        and any(str(item).startswith("**Ours, not Segment's.**") for item in section.items)
    ]

    assert marked == [name for name, directive in DIRECTIVES.items() if directive.ours]


def test_every_directive_is_in_the_table_above_them():
    shown = [re.fullmatch(r"\[`(@\w+)`\]\(#\w+\)", use) for _, use in rows("You want to", "Use")]

    assert [link[1] for link in shown] == list(DIRECTIVES)


def test_every_recipe_is_in_the_list_above_them():
    [top] = [section for section in SECTIONS if section.page == "recipes" and section.level == 1]
    linked = [re.fullmatch(r"- \[(.+)\]\(#.+\)", line) for line in top.lines()]

    assert [link[1] for link in linked if link] == [section.title for section in RECIPES]
