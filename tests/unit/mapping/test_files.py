"""Mapping files: what is taken, and what is said of what is not."""

import json

import pytest

from destination.errors import InvalidMapping
from destination.mapping.files import load_mappings, read_mappings

GOOD = """\
name: Order
action: trackEvent
trigger: type = "track" and event = "Order Completed"
fields:
  event_name: order_success
  source_id: $.userId
  metadata:
    total: $.properties.total
    text: "{{properties.currency}} {{properties.total}}"
"""


@pytest.fixture
def read(tmp_path, setup):
    """Writes files into segment-to-rehook and reads them; faults as `line:column: message`."""
    folder = tmp_path / "mappings"

    def read(*texts, direction="segment-to-rehook", suffix=".yaml"):
        (folder / direction).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (folder / direction / f"{number}{suffix}").write_text(text)
        ours = setup()
        mappings, faults = read_mappings(folder, list(ours.sources), ours.actions)
        return mappings, [f"{fault.line}:{fault.column}: {fault.message}" for fault in faults]

    return read


def test_a_mapping_is_read_and_compiled(read):
    [mapping], faults = read(GOOD)

    assert not faults
    assert (mapping.name, mapping.source, mapping.destination, mapping.action, mapping.enabled) == (
        "Order",
        "segment",
        "rehook",
        "trackEvent",
        True,
    )
    call = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u",
        "properties": {"total": 5, "currency": "EUR"},
    }
    assert mapping.matches(call)
    assert mapping.render(call) == {
        "event_name": "order_success",
        "source_id": "u",
        "metadata": {"total": 5, "text": "EUR 5"},
    }


def test_a_mapping_may_be_json(read):
    content = {
        "name": "A",
        "action": "identifyUser",
        "trigger": 'type = "identify"',
        "fields": {"source_id": {"@path": "$.userId"}},
    }
    [mapping], faults = read(json.dumps(content, indent=1), suffix=".json")

    assert not faults
    assert mapping.render({"userId": "u"}) == {"source_id": "u"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "action: trackEvent",
            "action: trackEvnt",
            "2:1: rehook has no action trackEvnt. Did you mean trackEvent?",
        ),
        ("action: trackEvent\n", "", "1:1: the mapping needs the key action. Add it."),
        ("name: Order", "nmae: Order", "1:1: unknown key nmae. Did you mean name?"),
        ("name: Order", "name: 5", "1:1: name must be text."),
        ("name: Order", "name: ''", "1:1: name must not be empty."),
        (
            "name: Order",
            "name: 2024-01-01",
            "1:7: this is read as a date. Put it in quotes.",
        ),
        ("name: Order", "name: [", "3:8: this is not YAML"),
        ("trigger: ", "trigger ", "3:1: this is not YAML: a colon is missing on this line"),
        ("trigger: ", "trigger:", "3:1: this is not YAML: a colon is missing on this line"),
        ("fields:", "fields", "4:1: this is not YAML: a colon is missing on this line"),
        ("  source_id: $.userId\n", "", "4:1: trackEvent needs the field source_id. Add it."),
        (
            "  source_id",
            "  sourceid",
            "6:3: trackEvent has no field sourceid. Did you mean source_id?",
        ),
        ("$.properties.total", '{"@pth": x}', "8:13: unknown directive @pth. Did you mean @path?"),
        ("type = ", "tpe = ", "3:10: "),
        (
            "total: $.properties.total",
            "total: &a 1\n    b: *a",
            "8:12: a YAML anchor (&name) is not taken. Write out what it means.",
        ),
        (
            "$.properties.total",
            "{{event}}",
            "8:13: a key is a text. Put it in quotes, and a {{ template }} as well.",
        ),
        (
            "$.properties.total",
            "!x y",
            "8:12: this is read as an instruction to YAML. Put it in quotes.",
        ),
        (
            "name: Order",
            "name: Order\nenabled: !!bool maybe",
            "2:10: this cannot be read as true or false. Write true or false, with no !! before it.",
        ),
        (
            "$.properties.total",
            "0x" + "f" * 5000,  # it has more digits than Python writes
            "8:12: this cannot be read as a number. Put it in quotes, with no !! before it.",
        ),
        (
            "$.properties.total",
            "!!int ''",
            "8:12: this cannot be read as a number. Put it in quotes, with no !! before it.",
        ),
        ("name: Order", "%YAML 9.9\n---\nname: Order", "1:1: this is not YAML 1.2. Take this line"),
        ("name: Order", "%YAML 1.3\n---\nname: Order", "1:1: this is not YAML 1.2. Take this line"),
        ("name: Order", "%YAML 1.2\n---\nname: Order", None),
        ("enabled", "enabled", None),
    ],
)
def test_a_fault_names_its_line_and_the_remedy(read, old, new, fault):
    mappings, faults = read(GOOD.replace(old, new))

    if fault is None:
        assert mappings
    else:
        assert not mappings
        assert any(found.startswith(fault) for found in faults), faults


def test_every_file_is_looked_at_and_its_faults_are_listed(read):
    mappings, faults = read("- a list", "a: 1\nb: 2\n", GOOD)

    assert [mapping.name for mapping in mappings] == ["Order"]
    assert len(faults) > 4


def test_two_mappings_may_not_have_one_name(read):
    _, [fault] = read(GOOD, GOOD)

    assert fault.startswith("1:1: ")
    assert "is named 'Order' too. Give this one another name." in fault


def test_names_that_differ_in_capitals_are_one_name(read):
    _, [fault] = read(GOOD, GOOD.replace("name: Order", "name: ORDER"))

    assert "is named 'ORDER' too" in fault


def test_a_faulty_file_has_its_name_all_the_same(read):
    _, faults = read(GOOD.replace("trackEvent", "trackEvnt"), GOOD)

    assert [fault.partition(": ")[0] for fault in faults] == ["2:1", "1:1"]


def test_a_destination_takes_fifty_mappings_that_are_switched_on(read):
    def numbered(count):
        return [GOOD.replace("name: Order", f"name: Order {number}") for number in range(count)]

    off = GOOD.replace("name: Order", "name: Off\nenabled: false")

    assert read(*numbered(50), off)[1] == []
    _, [fault] = read(*numbered(52))
    assert "rehook has 50 mappings before this one" in fault


def test_a_file_outside_of_a_direction_is_a_fault(read, tmp_path):
    deep = tmp_path / "mappings" / "old" / "segment-to-rehook"
    deep.mkdir(parents=True)
    (deep / "order.yaml").write_text(GOOD)
    (tmp_path / "mappings" / "order.yml").write_text(GOOD.replace("Order", "Another"))

    mappings, faults = read(GOOD.replace("name: Order", "name: Third"))

    assert [mapping.name for mapping in mappings] == ["Third"]
    assert "the file stands too deep. Move it to" in faults[0]
    assert "the folder mappings names no direction that we know." in faults[1]


def test_one_file_or_one_direction_may_be_read_alone(read, tmp_path, setup):
    read(GOOD, GOOD.replace("name: Order", "name: Second"))
    ours = setup()
    direction = tmp_path / "mappings" / "segment-to-rehook"

    for path, count in ((direction, 2), (direction / "1.yaml", 1)):
        mappings, faults = read_mappings(path, list(ours.sources), ours.actions)
        assert (len(mappings), faults) == (count, [])


def test_a_file_may_be_written_on_windows(read):
    trigger = 'trigger: >-\r\n  type = "track"\r\n  and tpe = 1'
    windows = "\ufeff" + GOOD.replace("\n", "\r\n")
    _, [fault] = read(
        windows.replace('trigger: type = "track" and event = "Order Completed"', trigger)
    )

    assert fault.startswith("5:7: unknown field tpe")


@pytest.mark.parametrize("direction", ["segment-to-nowhere", "rehook-to-rehook"])
def test_a_folder_that_is_no_direction_is_named_with_those_that_are(read, direction):
    _, [fault] = read(GOOD, direction=direction)

    assert "Move the file to " in fault
    assert "segment-to-rehook" in fault


def test_a_folder_without_mappings_is_a_fault(read, tmp_path, setup):
    (tmp_path / "mappings").mkdir()

    assert "add one" in read()[1][0]


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    _, [fault] = read_mappings(tmp_path / "nowhere", ["segment"], {})

    assert str(fault).endswith(
        "nowhere:1:1: there is no such file or folder. `destination init` writes a folder of "
        "mappings here; DESTINATION_MAPPINGS names another one."
    )


def test_a_set_with_a_fault_is_not_loaded(tmp_path):
    with pytest.raises(InvalidMapping, match="no such file or folder"):
        load_mappings(tmp_path / "nowhere", ["segment"], {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "null",
        "[]",
        "{}",
        "\x00",
        "{{{",
        "? [a]: b",
        "a: !!python/object:os.system x",
        "a: &x [*x]",
        "%YAML 9\n---\na",
        "1: 2",
    ],
)
def test_no_file_breaks_the_reader(read, text):
    mappings, faults = read(text)

    assert not mappings
    assert faults


def test_each_key_that_is_missing_is_named(read):
    _, faults = read("name: A")

    assert faults == [
        f"1:1: the mapping needs the key {key}. Add it." for key in ("action", "trigger", "fields")
    ]


def test_characters_that_json_writes_in_halves_are_joined(read):
    content = {
        "name": "A",
        "action": "identifyUser",
        "trigger": 'userId = "😀"',
        "fields": {"source_id": "$.userId", "referral_code": "😀"},
    }
    [mapping], _ = read(json.dumps(content), suffix=".json")

    assert mapping.matches({"userId": "😀"})
    assert mapping.render({}) == {"referral_code": "😀"}
