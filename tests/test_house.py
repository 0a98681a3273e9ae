"""The house rules that nobody remembers: who imports whom, and what the pages must say."""

import ast
import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from destination import partners
from destination.app import Setup
from destination.cli import main
from destination.model.delivery import Status
from destination.settings.tables import Settings, rows
from tests.conftest import ROOT

PACKAGE = ROOT / "destination"

#: Who may import whom: a room imports only from rooms that stand before it, and from itself.
#: Rooms on one line know nothing of each other.
ROOMS = [
    ["errors"],
    ["support"],
    ["settings"],
    ["model"],
    ["mapping", "outbound"],
    ["partners"],
    ["routing"],
    ["store"],
    ["registry"],
    ["worker", "web"],
    ["app"],
    ["sandbox"],
    ["cli"],
    ["__main__"],
]

#: What a room may not import, though it stands before.
NEVER = {
    "mapping": {"settings", "model"},
    "sandbox": {name for rank in ROOMS for name in rank} - {"sandbox"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("destination.")}
    return found - {"__version__", room(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = room(path)
    if own == "__init__":
        return
    rank = next(index for index, rooms in enumerate(ROOMS) if own in rooms)
    before = {name for rooms in ROOMS[:rank] for name in rooms}

    assert imported_rooms(path) <= before - NEVER.get(own, set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_with_its_sentence_and_is_not_crowded(path):
    text = path.read_text()
    if not text:
        return
    assert (ast.get_docstring(ast.parse(text)) or "").split("\n")[0].endswith((".", ":", "`"))
    assert text.count("\n") <= 400


def test_at_most_six_modules_lie_beside_the_rooms():
    found = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]

    assert len(found) <= 6, f"{', '.join(sorted(found))}: give one of them a room"


def test_a_class_has_a_name_of_its_own():
    """Those of one file may be what they like: a leading underscore keeps them there."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )

    assert [name for name, count in names.items() if count > 1] == []


def test_partners_reach_neither_the_store_nor_the_web():
    for path in (PACKAGE / "partners").rglob("*.py"):
        assert not re.search(r"^(from|import) (flask|sqlalchemy)", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("table", [Settings, *partners.tables()], ids=lambda table: table.__name__)
def test_every_setting_is_in_the_docs(table):
    page = (ROOT / "docs" / "settings.md").read_text()

    for name, row in rows(table):
        assert f"`{name}`" in page
        assert row.metadata["help"].strip().endswith((".", ")", "db"))


def test_every_command_is_in_the_docs():
    page = (ROOT / "docs" / "operations.md").read_text()

    for name in main.commands:
        assert f"destination {name}" in page


def test_every_word_of_the_api_is_in_the_docs():
    page = (ROOT / "docs" / "operations.md").read_text()

    for status in Status:
        assert f"`{status.value}`" in page


def test_every_reason_of_a_fixture_is_in_the_docs():
    page = (ROOT / "docs" / "operations.md").read_text()
    fixtures = " ".join(path.read_text() for path in (ROOT / "fixtures").rglob("*.json"))

    for reason in set(re.findall(r'"reason": "(\w+)"', fixtures)):
        assert f"`{reason}`" in page


@pytest.mark.parametrize("name", partners.names())
def test_every_partner_is_in_the_docs(name):
    assert name in (ROOT / "docs" / "partners.md").read_text().lower()


PRESETS = {
    path: YAML(typ="safe").load(path.read_text())
    for path in sorted((ROOT / "mappings").rglob("*.yaml"))
}


@pytest.mark.parametrize(
    "path", [path for path in PRESETS if "enabled" not in PRESETS[path]], ids=lambda path: path.stem
)
def test_a_preset_named_for_an_action_says_what_its_fields_declare(path):
    preset = PRESETS[path]
    destination = Setup.read().destinations[path.parent.name.rpartition("-to-")[2]]
    action = destination.actions[preset["action"]]

    assert preset["fields"].keys() <= action.fields.fields.keys()
    if preset["name"] != action.label:
        return
    assert preset["trigger"] == action.trigger
    assert preset["fields"] == {
        name: field.metadata["default"] for name, field in action.fields.fields.items()
    }


def test_what_ships_beside_the_actions_own_presets_is_switched_off():
    actions = {action.label for action in Setup.read().destinations["rehook"].actions.values()}
    presets = [PRESETS[path] for path in PRESETS if path.parent.name == "segment-to-rehook"]

    assert {preset["name"] for preset in presets if "enabled" not in preset} == actions
    assert not any(preset.get("enabled") for preset in PRESETS.values())


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors(page: Path) -> set[str]:
    """What a link may lead to on a page: its headings, as GitHub names them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        led_to = page.parent / path if path else page
        assert led_to.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(led_to), f"{page.name} links to {target}"


def test_every_decision_is_in_the_index_by_its_title():
    folder = ROOT / "docs" / "decisions"
    index = " ".join((folder / "README.md").read_text().split())

    for page in folder.glob("0*.md"):
        title = page.read_text().splitlines()[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in index


def test_every_make_target_is_in_the_help():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"\.PHONY: (.*)", makefile).group(1).split()

    for target in targets:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)


def test_values_are_frozen():
    from destination.model.arrival import Arrival
    from destination.model.delivery import Delivery, Discard
    from destination.model.event import Event
    from destination.model.verdict import Exchange

    for value in (Delivery, Discard, Exchange, Event, Arrival):
        assert value.__dataclass_params__.frozen
        assert dataclasses.is_dataclass(value)
