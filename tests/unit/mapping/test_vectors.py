"""What Segment's own mapping kit answers, in recorded cases, and where we answer otherwise."""

import json
from typing import Any

import pytest

from destination.mapping import (
    MISSING,
    InvalidMapping,
    InvalidTrigger,
    MappingFailed,
    matches,
    transform,
)
from tests.conftest import ROOT

VECTORS = ROOT.parent / "shared" / "vectors"

#: Mappings whose recorded answer nobody can want: what Segment makes, and what we make.
MAPPING_ACCIDENTS = [
    # An object in a template is text that says nothing; we write it as JSON.
    ({"@template": "{{foo}}"}, {"foo": {"bar": "baz"}}, "[object Object]", '{"bar":"baz"}'),
]

#: Triggers whose recorded answer nobody can want: refused when they load.
TRIGGER_ACCIDENTS = [
    # Half a condition: Segment's reader compares with its own mark for the end of the text.
    ("type = ", {"type": "eos"}, True),
]


def recorded(name: str) -> Any:
    file = VECTORS / f"{name}.json"
    if not file.exists():
        pytest.skip(f"no {file}")
    return json.loads(file.read_text())


def answer(mapping: Any, event: Any) -> dict[str, Any]:
    try:
        payload = transform(mapping, event)
    except (InvalidMapping, MappingFailed):
        return {"invalid": True}
    return {"missing": True} if payload is MISSING else {"output": payload}


def test_every_recorded_mapping_is_answered_as_segment_answers_it():
    accidents = [(mapping, event) for mapping, event, _, _ in MAPPING_ACCIDENTS]
    for vector in recorded("mappings"):
        mapping, event = vector.pop("mapping"), vector.pop("event")
        if (mapping, event) not in accidents:
            # Compared as JSON, in which true is not 1.
            assert json.dumps(answer(mapping, event), sort_keys=True) == json.dumps(
                vector, sort_keys=True
            ), mapping


def test_every_recorded_trigger_is_answered_as_segment_answers_it():
    accidents = [(trigger, event) for trigger, event, _ in TRIGGER_ACCIDENTS]
    for vector in recorded("triggers"):
        trigger, event = vector["trigger"], vector["event"]
        if (trigger, event) in accidents:
            continue
        try:
            fires = matches(trigger, event)
        except InvalidTrigger:
            fires = False
        assert fires == vector["matches"], (trigger, event)


@pytest.mark.parametrize(("mapping", "event", "theirs", "ours"), MAPPING_ACCIDENTS)
def test_an_accident_of_a_mapping_is_answered_with_sense(mapping, event, theirs, ours):
    assert transform(mapping, event) == ours != theirs


@pytest.mark.parametrize(("trigger", "event", "theirs"), TRIGGER_ACCIDENTS)
def test_an_accident_of_a_trigger_is_refused(trigger, event, theirs):
    with pytest.raises(InvalidTrigger):
        matches(trigger, event)
