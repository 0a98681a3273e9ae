"""Writing mapping files: what people wrote into one stays, what we write is read back the same."""

import json
import string
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from destination.errors import Problem
from destination.mapping.yaml_writer import as_yaml, switched, written

COMMENTED = textwrap.dedent("""\
    # Owned by the loyalty team: ask them first.

    name: "Big Order"   # as the report calls it
    # Since March.
    action: trackEvent
    trigger: >-
      type = "track"
      and event = 'Order Completed'

    fields:   # what Rehook needs
      event_name: 'big_order'
      source_id:    $.userId
      metadata: {
        "total": { "@path": "$.properties.total" },   # in EUR

        tags: [ a,
                b ]
      }
    # The end.
    """)


def loaded(text):
    return YAML(typ="safe", pure=True).load(text)


def test_switching_off_adds_one_line_and_changes_nothing_else():
    off = switched(COMMENTED, enabled=False)

    before, added, after = off.partition("enabled: false\n")
    assert added
    assert before + after == COMMENTED
    assert before.endswith('name: "Big Order"   # as the report calls it\n')


def test_switching_changes_the_word_and_nothing_else():
    text = COMMENTED.replace("# The end.", "enabled:   true # until summer\n# The end.")

    off = switched(text, enabled=False)
    assert off == text.replace("enabled:   true #", "enabled:   false #")
    assert switched(off, enabled=True) == text


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("name: A\nx: 1\n", "name: A\nenabled: false\nx: 1\n"),
        ("x: 1\nname: A", "x: 1\nname: A\nenabled: false\n"),
        ("name: A\r\nx: 1\r\n", "name: A\r\nenabled: false\r\nx: 1\r\n"),
        ("name: A\n  B # c\nx: 1\n", "name: A\n  B # c\nenabled: false\nx: 1\n"),
        ("name: |\n  A\nx: 1\n", "name: |\n  A\nenabled: false\nx: 1\n"),
        ('"name": "A # b"\nx: 1\n', '"name": "A # b"\nenabled: false\nx: 1\n'),
        ("---\n  name: A\n  x: 1\n", "---\n  name: A\n  enabled: false\n  x: 1\n"),
        ("\ufeffname: 😀\nx: 1\n", "\ufeffname: 😀\nenabled: false\nx: 1\n"),
        ('{"name": "A", "x": 1}', '{"name": "A", "enabled": false, "x": 1}'),
        (
            '{\n  "name": "A",\n  "x": 1\n}\n',
            '{\n  "name": "A",\n  "enabled": false,\n  "x": 1\n}\n',
        ),
        ('{"enabled": true, "name": "A"}', '{"enabled": false, "name": "A"}'),
    ],
)
def test_a_file_is_switched_in_the_way_in_which_it_is_written(text, off):
    assert switched(text, enabled=False) == off


def test_a_file_that_cannot_be_switched_says_what_to_write():
    with pytest.raises(Problem, match="write enabled: false by hand"):
        switched("? name\n: A\n? x\n: 1\n", enabled=False)


def test_a_new_file_looks_like_those_of_the_documentation():
    content: dict[str, object] = {
        "fields": {
            "event_name": {"@if": {"exists": "$.event", "then": "yes", "else": None}},
            "metadata": {"note": "Hi {{event}}", "gap": "{{event}}", "list": [{"a": 1, "b": "1"}]},
        },
        "trigger": 'type = "track" and event = "' + "Order " * 40 + '"',
        "action": "trackEvent",
        "name": "Order",
        "description": None,
    }

    assert written(content) == textwrap.dedent(f"""\
        name: Order
        action: trackEvent
        trigger: {content["trigger"]}
        fields:
          event_name:
            "@if":
              exists: $.event
              then: "yes"
              else: null
          metadata:
            note: Hi {{{{event}}}}
            gap: "{{{{event}}}}"
            list:
              - a: 1
                b: '1'
        """)


TEXTS = st.text() | st.sampled_from(
    [
        *(
            "2026-01-01",
            "12:30:45",
            "0o7",
            "0x1F",
            "1_000",
            "~",
            "<<",
            "=",
            "no",
            "1e3",
            ".5",
            "+1",
        ),
        *("-", "- a", "?", "a: b", "#a", "a #b", "\u2028", "\x85", "\ufeff", "\0", "\t", "a\r\nb"),
        *(" before", "behind ", "\n\n", "@a", "{{a}}", '{{ a | b: "c" }}', "&a", "*a", "!a", "%a"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(value=VALUES)
def test_what_is_written_is_read_back_the_same(value):
    assert json.dumps(loaded(as_yaml({"value": value}))) == json.dumps({"value": value})


@given(
    name=st.text(string.printable, min_size=1),
    keys=st.permutations(["name", "action", "fields"]),
    flow=st.booleans(),
)
def test_any_file_of_ours_can_be_switched(name, keys, flow):
    content = {key: name if key == "name" else {"a": [1]} for key in keys}
    text = json.dumps(content) if flow else as_yaml(content)

    assert loaded(switched(text, enabled=False)) == {**content, "enabled": False}
