"""An event that a mapping breaks on is quarantined, and runs again after the fix."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.routing import route
from destination.store.queries import lists
from destination.store.replay import quarantine
from destination.store.replay.quarantine import Try
from tests.conftest import ROOT

#: Breaks on an event whose note is long: it makes too much of it.
GREEDY = """\
name: Greedy
action: trackEvent
trigger: type = "track"
fields:
  event_name: greedy
  source_id: $.userId
  metadata:
    text:
      "@template": "%s"
""" % ("{{properties.note}}" * 100)

GOOD = GREEDY.replace("{{properties.note}}" * 100, "{{properties.note}}")


def order(number, note):
    return {
        "type": "track",
        "messageId": f"m{number}",
        "userId": "u",
        "event": "A",
        "properties": {"note": note},
    }


@pytest.fixture
def quarantined(tmp_path, monkeypatch, setup):
    """A receiver with one event that broke a mapping, and the file of that mapping."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(tmp_path / "mappings"))
    path = tmp_path / "mappings" / "segment-to-rehook" / "greedy.yaml"
    path.write_text(GREEDY)
    receiver = setup().receiver()
    outcomes = receiver.take(
        [order(1, "short"), order(2, "long" * 5000), order(3, "short")], "segment"
    )
    assert [outcome.outcome for outcome in outcomes] == ["accepted"] * 3  # by the preset
    return receiver, path


def replay(*options):
    return CliRunner().invoke(main, ["replay", "--quarantined", *options], catch_exceptions=False)


def made(receiver):
    return sorted(
        (row["message_id"], row["mapping"]) for row in lists.deliveries(receiver.database)
    )


def reasons(receiver):
    return [
        (row["message_id"], row["mapping"], row["reason"])
        for row in lists.discards(receiver.database)
    ]


def test_one_event_is_parked_and_stops_nothing_else(quarantined):
    receiver, _ = quarantined

    assert made(receiver) == [
        ("m1", "Greedy"),
        ("m1", "Track Event"),
        ("m2", "Track Event"),
        ("m3", "Greedy"),
        ("m3", "Track Event"),
    ]
    assert reasons(receiver) == [("m2", "Greedy", "mapping_failed")]


def test_an_event_on_which_routing_itself_breaks_is_parked_and_its_batch_goes_on(
    quarantined, monkeypatch
):
    receiver, path = quarantined
    path.write_text(GOOD)
    receiver.routes.look()
    fires = route._fires

    def breaks(mapping, event):
        assert event.message_id != "m5", "a fault of ours"
        return fires(mapping, event)

    with monkeypatch.context() as patched:
        patched.setattr(route, "_fires", breaks)
        outcomes = receiver.take([order(n, "short") for n in (4, 5, 6)], "segment")
    assert [(each.outcome, each.reason) for each in outcomes] == [
        ("accepted", None),
        ("discarded", "mapping_failed"),
        ("accepted", None),
    ]
    replay()
    assert made_of(receiver, "m5") == ["Greedy", "Track Event"]


def made_of(receiver, message_id):
    return [mapping for named, mapping in made(receiver) if named == message_id]


def test_after_the_fix_it_runs_again_and_only_what_was_missing_is_sent(quarantined):
    receiver, path = quarantined
    before = made(receiver)
    path.write_text(GOOD)

    assert "1 of 1 quarantined events would be" in replay("--dry-run").output
    assert made(receiver) == before
    assert "accepted" in replay().output
    assert made(receiver) == sorted([*before, ("m2", "Greedy")])
    assert reasons(receiver) == []
    assert "0 of 0 quarantined events" in replay().output


def test_what_breaks_again_stays_parked(quarantined):
    receiver, _ = quarantined
    before = made(receiver)

    assert "mapping_failed" in replay().output
    assert (made(receiver), len(reasons(receiver))) == (before, 1)


def test_an_event_of_a_mapping_that_is_gone_stays_parked(quarantined):
    receiver, path = quarantined
    path.unlink()

    assert replay().exit_code == 0
    assert reasons(receiver) == [("m2", "Greedy", "mapping_failed")]


def test_an_event_on_which_the_mapping_does_not_fire_any_more_is_discarded(quarantined):
    receiver, path = quarantined
    path.write_text(GOOD.replace('type = "track"', 'event = "B"'))
    replay()

    assert reasons(receiver) == [("m2", "Greedy", "no_matching_mapping")]


@pytest.mark.parametrize(
    "options", [(), ("file.json", "--quarantined"), ("file.json", "--since", "2h")]
)
def test_replay_takes_files_or_what_is_parked(options):
    assert CliRunner().invoke(main, ["replay", *options]).exit_code == 2


def test_what_is_parked_keeps_its_call(quarantined):
    receiver, _ = quarantined
    [row] = lists.discards(receiver.database)

    kept = lists.discard(receiver.database, row["id"])
    assert json.loads(kept["call"]) == order(2, "long" * 5000)


#: `destination replay --quarantined`, which dies of one event as of a crash of the interpreter.
DIES = """
import os, signal
from destination.cli import main
from destination.store.replay import replay as calls
real = calls.route_again
def route_again(event, *arguments, **options):
    if event.message_id == "m2":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(event, *arguments, **options)
calls.route_again = route_again
main(["replay", "--quarantined"])
"""


def test_what_takes_a_process_down_three_times_is_quarantined_and_stops_nobody(quarantined):
    receiver, path = quarantined
    receiver.take([order(4, "long" * 5000)], "segment")
    path.write_text(GOOD)
    died = [subprocess.run([sys.executable, "-c", DIES], check=False) for _ in range(3)]
    assert {each.returncode for each in died} == {-signal.SIGKILL}
    assert ("m4", "Greedy") not in made(receiver)

    last = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, check=False)
    assert (last.returncode, "quarantined" in last.stdout) == (0, True)
    assert ("m4", "Greedy") in made(receiver)
    assert reasons(receiver) == [("m2", "Greedy", "quarantined")]
    assert "0 of 0 quarantined events" in replay().output


def test_a_try_that_ends_counts_for_nothing(quarantined):
    receiver, _ = quarantined
    for _ in range(5):
        assert "mapping_failed" in replay().output

    assert reasons(receiver) == [("m2", "Greedy", "mapping_failed")]


def test_what_is_not_parked_any_more_is_not_tried(quarantined):
    receiver, _ = quarantined

    assert quarantine.begin(receiver.database, 12345) is Try.GONE
