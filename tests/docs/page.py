"""The pages on mapping files: every example, table and command on them is run.

A block or a table that the tests cannot place is a fault as well, so nothing stands there
that only looks as if it were true. A page writes

    ```yaml file       a whole file; its first line names it, or the fence does
    ```yaml broken     the same, of which the page shows what is wrong with it
    ```yaml fields     a part of a file: what stands beside it is left out
    ```json saved      a file that a command reads; the fence names it
    ```json event      an event; one with a name is used by a table
    ```json sent       what a mapping, named in the line above, makes of the event
    ```ini settings    settings that an example needs
    ```console         commands and what they write
"""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

#: The signpost, and the pages that it leads to.
PAGES = [ROOT / "docs" / "mappings.md", *sorted((ROOT / "docs" / "mappings").glob("*.md"))]

KINDS = {
    "yaml file",
    "yaml broken",
    "yaml fields",
    "json file",
    "json saved",
    "json event",
    "json sent",
    "ini settings",
    "console",
}


#: The kinds of whole files that are in force where an example runs.
FILES = ("yaml file", "json file")


@dataclass(frozen=True)
class Block:
    """A fenced piece of a page."""

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
    """A heading of a page, and what stands below it up to the next one."""

    title: str
    #: The name of its page's file, without its ending.
    page: str
    #: How deep it is: 1 is the page's own heading.
    level: int
    #: Blocks, tables, and the lines of text between them, in their order.
    items: list[Block | Table | str] = field(default_factory=list)

    def blocks(self, *kinds: str) -> list[Block]:
        return [item for item in self.items if isinstance(item, Block) and item.kind in kinds]

    def lines(self) -> list[str]:
        return [item for item in self.items if isinstance(item, str)]

    def tables(self) -> list[Table]:
        return [item for item in self.items if isinstance(item, Table)]


def parse(page: Path) -> Iterator[Section]:
    """Divide a page into its sections. Raises AssertionError for what is not well-formed."""
    first, *rest = page.read_text().splitlines()
    assert first.startswith("# "), page
    lines = iter(rest)
    section = Section(title=first.removeprefix("# "), page=page.stem, level=1)
    lead = ""
    for line in lines:
        if heading := re.fullmatch(r"(#{1,4}) (.+)", line):
            yield section
            section = Section(title=heading[2].strip("`"), page=page.stem, level=len(heading[1]))
            lead = ""
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


SECTIONS = [section for page in PAGES for section in parse(page)]


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


def from_yaml(text: str) -> Any:
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


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def path_of(block: Block) -> str:
    """Where a file of a page belongs, below the folder of mappings."""
    path = block.name or block.text.splitlines()[0].removeprefix("# ")
    assert re.fullmatch(r"mappings/[a-z]+-to-[a-z]+/[a-z-]+\.(yaml|json)", path), path
    return path.removeprefix("mappings/")


def write_files(section: Section, folder: Path) -> None:
    for block in section.blocks(*FILES):
        write(folder, path_of(block), block.text)
