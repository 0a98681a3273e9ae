"""A directive is one file: the rest of the kit knows directives by what their values say."""

import ast
import re

import pytest

from destination.mapping.argument_types import Fields
from destination.mapping.directives import DIRECTIVES
from tests.conftest import ROOT

KIT = ROOT / "destination" / "mapping"

#: Those that the short way stands for, and the one that Segment applies before all fields.
NAMED = {"@path", "@template", "@literal", "@transform"}


def test_nothing_outside_the_folder_names_a_directive_but_those_that_are_short_for_something():
    nodes = [node for path in KIT.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}

    assert {text for text in texts if re.fullmatch(r"@\w+", str(text))} == NAMED


def test_a_directive_is_found_by_standing_in_the_folder():
    files = "".join(path.read_text() for path in (KIT / "directives").glob("*.py"))

    assert sorted(DIRECTIVES) == sorted(re.findall(r'^    name="(@\w+)",$', files, re.MULTILINE))


def test_no_two_directives_have_the_same_place():
    assert len({each.order for each in DIRECTIVES.values()}) == len(DIRECTIVES)


@pytest.mark.parametrize("directive", DIRECTIVES.values(), ids=list(DIRECTIVES))
def test_a_directive_is_written_with_fields_that_it_has(directive):
    written = re.findall(r'"(\w+)": ', directive.shape.partition(": ")[2])

    assert directive.shape.startswith(f'{{"{directive.name}": ')
    if isinstance(directive.takes, Fields):
        assert set(directive.takes.required) <= set(written) <= set(directive.takes.fields)
