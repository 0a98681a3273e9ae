"""What strangers wrote is shown to people: their terminal obeys none of it."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.errors import Problem
from destination.model.verdict import Verdict
from tests.leasing import acknowledge, lease, outcome

#: Clears the screen, names the window anew, and begins a command in a character of its own.
ESCAPES = "\x1b[2J\x1b]0;mine\x07\x9b31m"

CALLS = [
    {
        "type": "track",
        "messageId": f"m1{ESCAPES}",
        "userId": f"ada{ESCAPES}",
        "event": f"Order{ESCAPES}",
        "properties": {f"note{ESCAPES}": ESCAPES},
    },
    {"type": f"order{ESCAPES}", "messageId": f"m2{ESCAPES}", "userId": "ada"},
]


@pytest.fixture
def run(setup):
    """Runs a command where the calls were taken and the engine answered as rudely."""
    receiver = setup().receiver()
    receiver.take(CALLS, "segment")
    [leased] = lease(receiver.database)
    made = outcome(leased, Verdict.REJECTED)
    acknowledge(receiver.database, replace(made, exchange=replace(made.exchange, answer=ESCAPES)))
    return lambda *command: CliRunner().invoke(main, command).output


@pytest.mark.parametrize(
    "command",
    [
        "events",
        "events show 1",
        "events show 2",
        "deliveries",
        "deliveries show 1",
        "discards",
        "discards show 1",
        "preview calls.json",
        "replay --dry-run calls.json",
        "replay --dry-run --discarded",
        "reconcile calls.json",
    ],
)
def test_no_command_of_strangers_reaches_a_terminal(run, tmp_path, command):
    (tmp_path / "calls.json").write_text(json.dumps(CALLS))

    assert all(line.isprintable() for line in run(*command.split()).split("\n"))


def test_what_a_terminal_would_obey_is_shown_by_its_number(run):
    assert "\\u001b[2J\\u001b]0;mine\\u0007\\u009b31m" in run("deliveries", "show", "1")


def test_an_error_quotes_no_command_either(monkeypatch):
    def fails(*_):
        raise Problem(f"It answered:\n{ESCAPES}")

    monkeypatch.setattr("destination.cli.records.Setup.read", fails)
    result = CliRunner().invoke(main, ["events"])

    assert result.stderr == "Error: It answered:\n\\u001b[2J\\u001b]0;mine\\u0007\\u009b31m\n"
