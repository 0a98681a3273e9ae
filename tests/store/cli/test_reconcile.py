"""Reconciliation: what was sent to us, against what arrived."""

import gzip
import json

import pytest
from click.testing import CliRunner

from destination.cli import exports, main
from destination.errors import Problem
from destination.model.verdict import Verdict
from destination.store import database as databases
from destination.store.queries import lists
from destination.store.queries.reconcile import outcomes
from tests.running import service
from tests.store.replay.test_replay import drain, order

ANSWERS = {1: Verdict.REJECTED, 2: Verdict.UNKNOWN}


@pytest.fixture
def receiver(database, setup, monkeypatch):
    monkeypatch.setattr(databases, "connect", lambda _: database)
    return setup().receiver()


def reconcile(*options, stdin=None):
    return CliRunner().invoke(main, ["reconcile", *options], input=stdin, catch_exceptions=False)


def read(tmp_path, content):
    path = tmp_path / "export"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [
        (sent.message_id, sent.file_call is not None) for sent in exports.read_export(str(path))
    ]


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        ("m1\n\n m2 \n", False),
        ("messageId\nm1\nm2\n", False),
        ('type,MESSAGE_ID,at\ntrack,m1,"1, 2"\ntrack,m2,3\n', False),
        ("type;messageId\ntrack;m1\ntrack;m2\n", False),
        (gzip.compress(b"message_id\tx\nm1\t\nm2\t\n", mtime=0), False),
        (json.dumps([order(1), order(2)]), True),
        ("\n".join(map(json.dumps, [order(1), order(2)])), True),
        (gzip.compress("\n".join(map(json.dumps, [order(1), order(2)])).encode(), mtime=0), True),
    ],
)
def test_an_export_holds_ids_or_calls(tmp_path, content, whole):
    assert read(tmp_path, content) == [("m1", whole), ("m2", whole)]


def test_a_table_without_message_ids_is_refused_with_its_columns(tmp_path):
    with pytest.raises(Problem, match="columns type, id, and none is called messageId"):
        read(tmp_path, "type,id\ntrack,m1\n")


def test_a_call_without_an_id_is_known_by_the_one_that_it_got(receiver, tmp_path):
    call = {key: value for key, value in order(1).items() if key != "messageId"}
    [outcome] = receiver.take([call], "segment")

    assert read(tmp_path, json.dumps(call)) == [(outcome.message_id, True)]


def test_each_call_is_told_with_what_became_of_it(receiver):
    receiver.take([order(n, f"u{n}") for n in range(4)], "segment")
    drain(
        receiver.database,
        lambda payload: ANSWERS.get(payload["metadata"]["number"], Verdict.DELIVERED),
    )
    receiver.take([order(5), {**order(6), "userId": None}], "segment")

    result = reconcile("-", "--json", stdin="\n".join(f"m{n}" for n in range(8)))
    assert result.exit_code == 1
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["messageId"]: (line["outcome"], line["reason"]) for line in told} == {
        "m0": ("delivered", None),
        "m1": ("failed", "http_400"),
        "m2": ("uncertain", "http_None"),
        "m3": ("delivered", None),
        "m4": ("missing", None),
        "m5": ("pending", None),
        "m6": ("discarded", "id_required"),
        "m7": ("missing", None),
    }
    table = reconcile("-", stdin="\n".join(f"m{n}" for n in range(8))).output
    assert "8 calls: 6 had arrived, 2 had not." in table


def test_an_event_of_another_source_is_another_event(receiver):
    receiver.take([order(1)], "segment")

    assert outcomes(receiver.database, "rehook", ["m1"]) == {}
    assert outcomes(receiver.database, "segment", ["m1"]) == {"m1": ("pending", None)}


def test_nothing_missing_exits_0(receiver):
    receiver.take([order(1)], "segment")

    assert reconcile("-", stdin="m1").exit_code == 0


def test_what_is_missing_is_sent_to_the_receiver(tmp_path):
    export = tmp_path / "export.ndjson"
    calls = [order(n) for n in range(1200)]
    export.write_text("\n".join(map(json.dumps, [*calls, {**order(1200), "userId": None}])))
    with service(tmp_path) as running:
        running.serve()
        running.send(*calls[:500])
        running.send(*calls[600:])

        result = running.run("reconcile", str(export), "--send")
        assert result.returncode == 0, result.stderr
        assert "1,201 calls: 1,100 had arrived, 101 had not; 101 of those were sent now." in (
            result.stdout
        )
        assert "sent, accepted" in result.stdout
        assert "id_required" in result.stdout
        again = running.run("reconcile", str(export), "--send")
        assert "1,201 had arrived, 0 had not; 0 of those were sent now." in again.stdout


def test_message_ids_alone_cannot_be_sent(receiver):
    result = reconcile("-", "--send", stdin="m1")

    assert result.exit_code == 1
    assert "--send needs an export of whole calls" in result.output
    assert list(lists.events(receiver.database)) == []


@pytest.mark.parametrize("options", [("-", "--rate", "2"), ("-", "--url", "http://x"), ()])
def test_what_does_not_go_together_is_refused(options):
    assert reconcile(*options).exit_code == 2
