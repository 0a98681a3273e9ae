"""Preview, as a person reads it: what would be sent, why not, and again on every save."""

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.cli.call_files import FileCall
from destination.cli.explaining import Explainer
from destination.routing.route import arrive
from destination.support.json_codec import Json
from tests.conftest import copy_presets
from tests.running import PATIENCE, until

ORDER: dict[str, Json] = {
    "type": "track",
    "messageId": "m1",
    "userId": 7,
    "event": "Order Completed",
    "properties": {"total": 27.5, "items": [{"sku": "A"}, {"sku": "B"}], "note": ""},
}

BIG_ORDER = """\
name: Big Order
action: trackEvent
trigger: type = "track" and properties.total >= 20
fields:
  event_name: "{{properties.brand}} order"
  source_id: $.userId
  metadata:
    total: $.properties.totl
    skus: ["$.properties.items[0].sku", "$.properties.items[5].sku"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of mappings of the test's own, with the presets in it."""
    copy_presets(tmp_path / "mappings")
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(tmp_path / "mappings"))
    return tmp_path / "mappings" / "segment-to-rehook"


@pytest.fixture
def preview(tmp_path):
    """What preview shows of one call, by default the order."""

    def preview(*options, call=ORDER):
        path = tmp_path / "call.json"
        path.write_text(json.dumps(call))
        result = CliRunner().invoke(main, ["preview", *options, str(path)], catch_exceptions=False)
        return result.output

    return preview


def test_each_mapping_is_shown_with_its_request_or_with_what_keeps_it_from_one(preview, folder):
    (folder / "big-order.yaml").write_text(BIG_ORDER)
    (folder / "off.yaml").write_text(BIG_ORDER.replace("Big", "Off") + "enabled: false\n")

    assert (
        preview()
        == """\
call.json  accepted
✓ Big Order → POST https://api.rehook.ai/events/invoke
    event_name ← "{{properties.brand}} order" = " order" (nothing at properties.brand)
    source_id ← $.userId = 7: becomes "7"
    metadata.total ← $.properties.totl is missing: left out
    metadata.skus[0] ← $.properties.items[0].sku = "A"
    metadata.skus[1] ← $.properties.items[5].sku is missing: null keeps its place
    {
      "event_name": " order",
      "source_id": "7",
      "metadata": {
        "skus": [
          "A",
          null
        ]
      }
    }
✗ Identify User  type = "identify": the type is "track"
– Off Order is switched off: its file says enabled: false
✓ Track Event → POST https://api.rehook.ai/events/invoke
    event_name ← @if exists $.event → $.event = "Order Completed"
    source_id ← $.userId = 7: becomes "7"
    metadata ← $.properties = {"total": 27.5, "items": [{"sku": "A"}, {"sku": "B"}], "not…
    {
      "event_name": "Order Completed",
      "source_id": "7",
      "metadata": {
        "total": 27.5,
        "items": [
          {
            "sku": "A"
          },
          {
            "sku": "B"
          }
        ],
        "note": ""
      }
    }

"""
    )


def test_a_mapping_that_matches_and_is_not_sent_says_why(preview, folder):
    wrong = BIG_ORDER.replace("$.userId", "$.properties.items")
    (folder / "big-order.yaml").write_text(
        wrong.replace('"{{properties.brand}} order"', "$.properties.note")
    )

    assert (
        preview("--mapping", "Big Order")
        == """\
call.json  discarded  payload_validation_failed
! Big Order matches, and is not sent: payload_validation_failed
    Track Event: event_name is missing; source_id must be text or a number.
    event_name ← $.properties.note = "": the action needs it
    source_id ← $.properties.items = [{"sku": "A"}, {"sku": "B"}]: must be text or a number
    metadata.total ← $.properties.totl is missing: left out
    metadata.skus[0] ← $.properties.items[0].sku = "A"
    metadata.skus[1] ← $.properties.items[5].sku is missing: null keeps its place

"""
    )


def test_a_mapping_that_is_switched_off_can_be_looked_at(preview, folder):
    trigger = 'event = "Refund" or (type = "track" and properties.total > 100)'
    off = BIG_ORDER.replace('type = "track" and properties.total >= 20', trigger)
    (folder / "off.yaml").write_text(off + "enabled: false\n")

    assert (
        preview("--mapping", "Big Order")
        == """\
call.json  discarded  no_matching_mapping
– Big Order is switched off: its file says enabled: false
  Switched on, it would do this:
✗ Big Order  none of these holds:
    event = "Refund": the event is "Order Completed"
    properties.total > 100: properties.total is 27.5

"""
    )


def test_a_call_that_is_dropped_before_any_mapping_says_by_which_rule(preview):
    assert (
        preview(call={**ORDER, "userId": None})
        == """\
call.json  discarded  id_required
  The call needs a userId: text that is not blank, or a number.
  No mapping is asked: this comes before them.

"""
    )


def test_a_call_that_cannot_be_read_is_refused(preview):
    assert preview(call={**ORDER, "userId": "u" * 300}).splitlines()[:2] == [
        "call.json  refused  id_too_long",
        "  userId has 300 of 256 characters.",
    ]


def test_a_rule_of_the_engine_that_drops_an_event_is_named(preview, monkeypatch):
    monkeypatch.setenv("DESTINATION_REHOOK_CONVERSION_EVENTS", "Order Completed")

    assert "! Track Event matches, and is not sent: referral_code_required" in preview()


def test_a_request_that_asks_first_is_shown(preview, monkeypatch):
    monkeypatch.setenv("DESTINATION_REHOOK_VALIDATE_CODES", "yes")
    call = {"type": "identify", "userId": "u", "traits": {"referral_code": "ANN 1"}}

    assert (
        "    first GET https://api.rehook.ai/customers/validate-code/ANN%201"
        " asks whether it may be sent\n"
    ) in preview(call=call)


def test_an_empty_text_is_left_out(preview):
    call = {"type": "identify", "userId": "u", "traits": {"referral_code": ""}}

    assert ('referral_code ← $.traits.referral_code = "": an empty text, left out') in preview(
        call=call
    )


def test_a_mapping_that_breaks_on_a_call_shows_where(preview, folder):
    broken = BIG_ORDER.replace("$.properties.totl", '{"@liquid": "{{ 1 | divided_by: 0 }}"}')
    (folder / "big-order.yaml").write_text(broken)
    shown = preview("--mapping", "Big Order")

    assert "! Big Order matches, and is not sent: mapping_failed\n" in shown
    assert shown.endswith("    metadata.total ← @liquid {{ 1 | divided_by: 0 }} fails\n\n")


def test_no_line_of_a_pipe_is_longer_than_100_columns_nor_coloured(preview):
    long = {"a" * 90: "b" * 500, "c": ["d d " * 200], "escape": "\x1b[31m\x9b31m"}
    shown = preview(call={**ORDER, "event": "e " * 400, "properties": long})

    assert max(map(len, shown.splitlines())) <= 100
    assert "…" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_credentials_are_not_shown(preview, monkeypatch):
    monkeypatch.setenv("DESTINATION_REHOOK_API_KEY", "key-for-eyes")
    monkeypatch.setenv("DESTINATION_REHOOK_API_SECRET", "secret-for-eyes")
    shown = preview() + preview("--json")

    assert "for-eyes" not in shown
    assert "Basic" not in shown


def test_what_is_switched_off_sends_nothing_in_scripts_either(preview, folder):
    (folder / "off.yaml").write_text(BIG_ORDER + "enabled: false\n")

    row = json.loads(preview("--json", "--mapping", "Big Order"))
    assert (row["reason"], row["requests"]) == ("no_matching_mapping", [])


def test_a_mapping_of_another_source_is_not_asked_and_says_so_by_its_name(setup, capsys):
    routes = setup().routes()
    others = replace(
        routes, mappings=[replace(mapping, source="rehook") for mapping in routes.mappings]
    )
    payload = FileCall(name="call.json", call=ORDER, text="")
    arrival = arrive(ORDER, "segment", others)
    for in_detail in (False, True):
        Explainer(others, in_detail=in_detail).explain(payload, arrival)

    head = "call.json  discarded  no_matching_mapping\n"
    named = [f"– {mapping.name} maps what rehook sends.\n" for mapping in routes.mappings]
    assert capsys.readouterr().out == f"{head}\n{head}{''.join(named)}\n"


@pytest.mark.parametrize("options", [["--json", "calls.json"], ["-"]])
def test_only_people_watch_and_only_files(options):
    result = CliRunner().invoke(main, ["preview", "--watch", *options])

    assert result.exit_code == 2


# Watching: a process of its own, and files that change.


class Watching:
    """`preview --watch` as it runs, its output in a file or on a terminal."""

    def __init__(self, process, output):
        self.process = process
        self._output = output

    def shows(self, text, times=1):
        until(lambda: self._output.read_text().count(text) >= times)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def watch(tmp_path):
    started = []

    def watch(*arguments):
        output = tmp_path / "output"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "destination", "preview", "--watch", *arguments],
                stdout=stream,
                stderr=stream,
                # Where the tests are a shell's background job, Ctrl-C is switched off for them.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        started.append(process)
        return Watching(process, output)

    yield watch
    for process in started:
        process.kill()
        process.wait()


def test_watching_shows_the_call_again_when_a_mapping_or_the_call_is_saved(watch, folder, tmp_path):
    call = tmp_path / "call.json"
    call.write_text(json.dumps(ORDER))
    watching = watch(str(call))
    watching.shows('event_name ← @if exists $.event → $.event = "Order Completed"')

    (folder / "big-order.yaml").write_text(BIG_ORDER)
    watching.shows("✓ Big Order")
    call.write_text(json.dumps({**ORDER, "event": "Refund"}))
    watching.shows('$.event = "Refund"')

    assert watching.stop() == 0


def test_watching_goes_on_while_a_file_is_broken(watch, folder, tmp_path):
    call = tmp_path / "call.json"
    call.write_text(json.dumps(ORDER))
    watching = watch("--mapping", "Big Order", str(call))
    watching.shows("No mapping is called Big Order.")

    (folder / "big-order.yaml").write_text(BIG_ORDER.replace("trackEvent", "trackEvnt"))
    watching.shows("Did you mean trackEvent?")
    (folder / "big-order.yaml").write_text(BIG_ORDER)
    watching.shows("✓ Big Order")
    call.write_text("{")
    watching.shows("refused  bad_request")
    call.unlink()
    watching.shows("call.json cannot be read")
    call.write_text(json.dumps(ORDER))
    watching.shows("✓ Big Order", times=2)

    assert watching.stop() == 0


def test_on_a_terminal_it_is_coloured(tmp_path):
    path = tmp_path / "call.json"
    path.write_text(json.dumps(ORDER))
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "destination", "preview", str(path)],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
        timeout=PATIENCE,
        check=True,
    )
    shown = os.read(ours, 60_000)
    os.close(ours)
    os.close(theirs)

    assert b"\x1b[32m\xe2\x9c\x93 \x1b[0m\x1b[1mTrack Event" in shown
