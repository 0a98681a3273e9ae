"""Payloads are read from whatever a person has."""

import gzip
import json
from functools import partial

import pytest

from destination.cli import call_files
from destination.errors import Problem, Refused

#: Without the time of day: a test has the same name in every process.
zipped = partial(gzip.compress, mtime=0)

A, B = {"type": "track", "messageId": "a"}, {"type": "track", "messageId": "b"}


@pytest.fixture
def read(tmp_path):
    def read(content, name="calls.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(found.name, found.call) for found in call_files.read_all([str(path)])]

    return read


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (json.dumps(A), [("calls.json", A)]),
        (json.dumps(A, indent=2), [("calls.json", A)]),
        (json.dumps([A, B]), [("calls.json[0]", A), ("calls.json[1]", B)]),
        (json.dumps([A, B], indent=2), [("calls.json[0]", A), ("calls.json[1]", B)]),
        (json.dumps({"batch": [A]}), [("calls.json[0]", A)]),
        (json.dumps(A) + "\n\n" + json.dumps(B) + "\n", [("calls.json:1", A), ("calls.json:3", B)]),
        (zipped(json.dumps(A).encode()), [("calls.json", A)]),
        (
            zipped(f"{json.dumps(A)}\n{json.dumps(B)}".encode()),
            [("calls.json:1", A), ("calls.json:2", B)],
        ),
        ("", []),
        ("\n \n", []),
        ("[]", []),
    ],
)
def test_a_file_is_read_in_any_of_its_forms(read, content, found):
    assert read(content) == found


@pytest.mark.parametrize(
    ("content", "broken"),
    [
        (f"{json.dumps(A)}\n{{oops\n{json.dumps(B)}", 1),
        (f"{{oops\n{json.dumps(A)}\n{json.dumps(B)}", 0),
        (f"[{json.dumps(A)},NaN,{json.dumps(B)}]", 1),
    ],
)
def test_a_broken_call_is_told_and_the_others_are_read(read, content, broken):
    found = [call for _, call in read(content)]

    assert isinstance(found.pop(broken), Refused)
    assert found == [A, B]


@pytest.mark.parametrize("content", ["{", "nonsense", "[1,"])
def test_a_file_that_is_no_json_is_one_refused_payload(read, content):
    [(_, call)] = read(content)

    assert isinstance(call, Refused)


@pytest.mark.parametrize("content", [b"\xff\xfe", zipped(b"{}" * 99)[:-9], b"\x1f\x8bnot gzip"])
def test_a_file_that_cannot_be_read_is_named(read, content):
    with pytest.raises(Problem, match=r"calls\.json"):
        read(content)


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for name, call in [("b/2.json", A), ("a/1.ndjson", B), ("a/notes.txt", "x")]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(call))

    assert [found.name for found in call_files.read_all([str(tmp_path)])] == [
        "a/1.ndjson",
        "b/2.json",
    ]


def test_a_folder_without_payloads_is_named(tmp_path):
    with pytest.raises(Problem, match="has no payloads"):
        list(call_files.read_all([str(tmp_path)]))


def test_a_renewed_payload_is_a_new_call(tmp_path):
    fixture = {"expect": {}, "before": [A], "call": {"json": B}}
    (tmp_path / "f.json").write_text(json.dumps(fixture))
    [found] = call_files.read_all([str(tmp_path / "f.json")])
    renewed = call_files.renewed(found, "-x")

    assert json.loads(renewed.text)["json"]["messageId"] == "b-x"
    assert json.loads(renewed.before[0])["messageId"] == "a-x"
