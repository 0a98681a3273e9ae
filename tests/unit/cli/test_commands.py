"""The command line, as scripts and people use it."""

import json
import re

import pytest
from click.testing import CliRunner
from rich.console import Console

from destination.cli import main, tables
from destination.model.verdict import Verdict
from destination.store.queries import lists
from destination.store.queue.enqueue import enqueue
from tests.conftest import ROOT, arrival
from tests.leasing import acknowledge, lease, outcome
from tests.misbehaving import answers, response, server

ORDER = {"type": "track", "messageId": "m1", "userId": 7, "event": "A", "properties": {"total": 1}}

#: More than a database can count to.
NO_ID = "99999999999999999999"


@pytest.fixture
def run():
    def run(*command, stdin=None, color=False):
        return CliRunner().invoke(main, command, input=stdin, catch_exceptions=False, color=color)

    return run


def lines(result):
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def database(setup):
    return setup().database()


def test_preview_writes_a_line_a_call(run):
    calls = [ORDER, {"type": "page", "userId": "u", "messageId": "m2"}]
    stdin = "\n".join(map(json.dumps, calls))

    assert lines(run("preview", "--json", "-", stdin=stdin)) == [
        {
            "messageId": "m1",
            "outcome": "accepted",
            "reason": None,
            "detail": None,
            "requests": [
                {
                    "mapping": "Track Event",
                    "destination": "rehook",
                    "action": "trackEvent",
                    "method": "POST",
                    "url": "https://api.rehook.ai/events/invoke",
                    "body": {"event_name": "A", "source_id": "7", "metadata": {"total": 1}},
                }
            ],
        },
        {
            "messageId": "m2",
            "outcome": "discarded",
            "reason": "no_matching_mapping",
            "detail": "No mapping of segment has a trigger that matches it.",
            "requests": [],
        },
    ]


@pytest.mark.parametrize(
    "stdin",
    [
        json.dumps(ORDER),
        json.dumps([ORDER]),
        json.dumps([ORDER], indent=1),
        json.dumps(ORDER) + "\n",
    ],
)
def test_preview_reads_one_call_an_array_or_lines(run, stdin):
    [found] = lines(run("preview", "--json", "-", stdin=stdin))

    assert found["outcome"] == "accepted"


def test_preview_exits_1_for_a_call_that_would_be_refused(run):
    result = run("preview", "--json", "-", stdin='{"userId":NaN}\n' + json.dumps(ORDER))

    assert result.exit_code == 1
    assert [json.loads(line)["reason"] for line in result.stdout.splitlines()] == [
        "bad_request",
        None,
    ]


def test_preview_of_one_mapping(run):
    assert lines(
        run("preview", "--mapping", "Track Event", "--json", "-", stdin=json.dumps(ORDER))
    )[0]["requests"]
    unknown = run("preview", "--mapping", "Nope", "-", stdin="")
    assert (unknown.exit_code, "Identify User, Track Event" in unknown.output) == (
        1,
        True,
    )


def test_preview_shows_a_person_the_request(run):
    result = run("preview", str(ROOT / "fixtures/segment/valid/order-completed.json"))

    assert "order-completed.json  accepted" in result.output
    assert "Track Event → POST https://api.rehook.ai/events/invoke" in result.output
    assert '"event_name": "Order Completed"' in result.output


def test_replay_without_sending_counts_what_would_become_of_each(run):
    fixtures = ROOT / "fixtures/segment"
    result = run("replay", "--dry-run", str(fixtures))

    assert result.exit_code == 1  # some of the fixtures are refused
    assert f"{len(list(fixtures.rglob('*.json')))} calls." in result.output
    assert "id_required" in result.output


def test_replay_says_when_there_is_no_receiver(run):
    result = run(
        "replay", "--url", "http://127.0.0.1:1/webhooks/segment", "-", stdin=json.dumps(ORDER)
    )

    assert result.exit_code == 1
    assert "cannot be reached. Is the receiver up?" in result.output


def test_lint_lists_faults_and_exits_1(run, tmp_path):
    folder = tmp_path / "mine" / "segment-to-rehook"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        'name: A\naction: trackEvnt\ntrigger: type = "track"\nfields: {a: 1}\n'
    )

    result = run("lint", str(tmp_path / "mine"))
    assert result.exit_code == 1
    assert "a.yaml:2:1: rehook has no action trackEvnt. Did you mean trackEvent?" in result.output
    [fault] = [
        json.loads(line)
        for line in run("lint", str(tmp_path / "mine"), "--json").output.splitlines()
    ]
    assert list(fault) == ["file", "line", "column", "severity", "message"]
    assert (fault["line"], fault["column"], fault["severity"]) == (2, 1, "error")


def test_lint_exits_0_where_there_are_warnings_only(run, tmp_path):
    folder = tmp_path / "mine" / "segment-to-rehook"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        'name: A\naction: identifyUser\ntrigger: type = "identify"\nfields: {source_id: $.userid}\n'
    )

    result = run("lint", str(folder))
    assert result.exit_code == 0
    assert "4:21: warning: no fixture has $.userid. Did you mean $.userId?" in result.output
    assert result.output.splitlines()[-1] == f"1 mapping in {folder}: 1 warning."
    assert json.loads(run("lint", str(folder), "--json").output)["severity"] == "warning"


def test_lint_is_coloured_on_a_terminal_only(run):
    assert "\x1b[" not in run("lint").output
    assert "\x1b[32mall well\x1b[0m" in run("lint", color=True).output


def test_lint_of_the_presets_is_content(run):
    result = run("lint")

    assert (result.exit_code, "mappings: all well" in result.output) == (0, True)


def test_deliveries_are_listed_for_scripts(run, database):
    enqueue(database, [arrival("m1", "ada")])

    [row] = lines(run("deliveries", "--json"))
    assert list(row) == [
        "id",
        "messageId",
        "source",
        "destination",
        "mapping",
        "lane",
        "status",
        "attempts",
        "reason",
        "age",
        "createdAt",
        "settledAt",
    ]
    assert (row["messageId"], row["lane"], row["status"], row["settledAt"]) == (
        "m1",
        "ada",
        "pending",
        None,
    )
    assert row["createdAt"].endswith("Z")


def test_lists_can_be_filtered(run, database):
    enqueue(database, [arrival("m1", "ada"), arrival("m2", "bob")])

    chosen = lines(run("deliveries", "--json", "--customer", "ada"))
    assert [row["messageId"] for row in chosen] == ["m1"]
    assert lines(run("deliveries", "--json", "--lane", "ada")) == chosen  # its former name
    assert lines(run("deliveries", "--json", "--status", "failed")) == []
    assert len(lines(run("deliveries", "--json", "--limit", "1"))) == 1
    assert [row["messageId"] for row in lines(run("events", "--json", "--message-id", "m2"))] == [
        "m2"
    ]
    assert lines(run("discards", "--json")) == []


def test_a_delivery_is_shown_with_what_was_sent_and_answered(run, database):
    enqueue(database, [arrival("m1", "ada", call='{"type":"track","userId":"ada"}')])
    assert "Not sent yet" in run("deliveries", "show", "1").output
    [leased] = lease(database)
    acknowledge(database, outcome(leased, Verdict.REJECTED))

    shown = run("deliveries", "show", "1").output
    for words in (
        "failed (http_400)",
        "You sent",
        '"userId": "ada"',
        "Request to destination",
        "POST http://engine/x",
        "Response from destination",
        "400 → rejected",
    ):
        assert words in shown


def test_uncertain_deliveries_are_settled_in_one_step(run, database):
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(3)])
    acknowledge(database, *(outcome(leased, Verdict.UNKNOWN) for leased in lease(database)))

    assert "1 are delivered." in run("deliveries", "settle", "--delivered", "1").output
    assert "2 will be sent again." in run("deliveries", "settle", "--retry", "--all").output
    assert {row["status"] for row in lines(run("deliveries", "--json"))} == {"delivered", "pending"}


def test_only_what_failed_is_retried(run, database):
    enqueue(database, [arrival("m1", "a"), arrival("m2", "b")])
    first, second = lease(database)
    acknowledge(database, outcome(first, Verdict.REJECTED), outcome(second))

    ids = [first.delivery_id, first.delivery_id, second.delivery_id, 99]
    result = run("deliveries", "retry", *map(str, ids))
    assert result.exit_code == 1
    assert "1 will be sent again." in result.output
    assert "2 of those named were left as they are: not found, not failed" in result.output


@pytest.mark.parametrize(
    "command",
    [
        ("deliveries", "retry"),
        ("deliveries", "settle", "1"),
        ("deliveries", "settle", "--all", "--delivered", "--retry"),
        ("deliveries", "--status", "lost"),
        ("nonsense",),
        ("replay",),
        ("deliveries", "--limit", "0"),
        ("deliveries", "--limit", NO_ID),
        ("events", "show", NO_ID),
        ("deliveries", "show", NO_ID),
        ("deliveries", "retry", NO_ID),
        ("deliveries", "settle", "--delivered", NO_ID),
        ("discards", "show", NO_ID),
    ],
)
def test_wrong_usage_exits_2(run, command):
    assert run(*command).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("events", "show", "99"),
        ("deliveries", "show", "99"),
        ("discards", "show", "99"),
        ("replay", "no-such-file"),
        ("preview", "no-such-file"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(run, command):
    result = run(*command)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_wrong_setting_exits_2(run, monkeypatch):
    monkeypatch.setenv("DESTINATION_PROT", "1")
    result = run("lint")

    assert result.exit_code == 2
    assert "Did you mean DESTINATION_PORT?" in result.output


def test_serve_does_not_start_with_a_broken_mapping(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(tmp_path))
    result = run("serve")

    assert result.exit_code == 1
    assert "there is no mapping in it" in result.output


def test_an_event_is_shown_with_all_that_it_made(run, database):
    enqueue(database, [arrival("m1", "ada", call='{"a":1}')])

    shown = run("events", "show", "1").output
    assert "Track Event → rehook: pending" in shown
    assert '"a": 1' in shown


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(run, name):
    result = run(name, "--help")

    assert result.exit_code == 0
    assert len(main.commands[name].get_short_help_str(200)) > 20


@pytest.mark.parametrize("command", ["events", "deliveries", "discards"])
def test_a_list_of_a_database_that_is_not_there_is_an_error_and_makes_none(run, tmp_path, command):
    result = run(command)

    assert result.exit_code == 1
    assert "DESTINATION_DATABASE_URL" in result.output
    assert not (tmp_path / "destination.db").exists()


@pytest.mark.parametrize("width", [100, 149, 150, 240])
def test_a_list_fits_the_screen_and_cuts_no_status_and_no_time(run, database, monkeypatch, width):
    enqueue(
        database, [arrival("a-message-id-that-is-quite-long-" + "x" * 40, "customer-" + "y" * 40)]
    )
    acknowledge(database, *(outcome(leased, Verdict.UNKNOWN) for leased in lease(database)))
    monkeypatch.setattr(tables, "console", lambda: Console(width=width, highlight=False))

    lines = run("deliveries").stdout.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    row = next(line for line in lines if "uncertain" in line)
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", row)


def test_credentials_that_are_not_set_are_named(run):
    result = run("check")

    assert result.exit_code == 1
    assert "set DESTINATION_REHOOK_API_KEY and DESTINATION_REHOOK_API_SECRET" in result.output


def test_closed_doors_are_named_with_what_opens_them_and_are_no_fault(run, monkeypatch):
    for name in ("SEGMENT_SHARED_SECRET", "REWARD_WEBHOOK_TOKEN", "NOTIFICATIONS_PASSWORD"):
        monkeypatch.setenv(f"DESTINATION_{name}", "hush")
    with server(answers(response(200))) as url:
        for name, value in {"URL": url, "API_KEY": "k", "API_SECRET": "s"}.items():
            monkeypatch.setenv(f"DESTINATION_REHOOK_{name}", value)
        result = run("check")

    closed = [line for line in result.output.splitlines() if "is closed" in line]
    assert result.exit_code == 0
    assert [line.partition(" ")[0] for line in closed] == [
        "/webhooks/capillary",
        "/webhooks/rehook",
        "/v1",
    ]
    assert closed[-1].endswith("until you set DESTINATION_SEGMENT_WRITE_KEYS.")
    assert "hush" not in result.output


def test_a_destination_is_held_and_resumed_by_hand(run, database):
    assert run("hold", "rehook").output.startswith("rehook is on hold.")
    assert [hold["reason"] for hold in lists.holds(database)] == ["by_hand"]

    assert run("resume", "rehook").output == "rehook goes on.\n"
    assert run("resume", "rehook").output == "rehook was not on hold.\n"
    assert run("hold", "rehok").output.startswith("Error: There is no destination rehok. There is ")
    assert lists.holds(database) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0s"), (59.9, "59s"), (61, "1m 1s"), (7200, "2h"), (273_600, "3d 4h"), (86_405, "1d 5s")],
)
def test_an_age_is_said_by_its_two_largest_units(seconds, words):
    assert tables.age(seconds) == words
