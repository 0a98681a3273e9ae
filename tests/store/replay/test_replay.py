"""Replay: what is missing is sent again, once, in order; and what chooses it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from destination.cli import counting, main
from destination.model.verdict import Verdict
from destination.store import database as databases
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.replay.replay import BATCH
from tests.conftest import ROOT
from tests.leasing import acknowledge, lease, outcome
from tests.running import until

#: Events of the surgical replay: `REPLAY_EVENTS=10000 pytest tests/store/replay/test_replay.py` is its size
#: in PROPERTIES.
EVENTS = int(os.environ.get("REPLAY_EVENTS", "400"))
CUSTOMERS = 20

DELIVERED = Verdict.DELIVERED


@pytest.fixture
def mappings(tmp_path, monkeypatch):
    """A copy of the mapping files, to be changed."""
    folder = tmp_path / "mappings"
    shutil.copytree(ROOT / "mappings", folder)
    monkeypatch.setenv("DESTINATION_MAPPINGS", str(folder))
    return folder / "segment-to-rehook"


@pytest.fixture
def receiver(database, mappings, setup, monkeypatch):
    """A receiver on each database, which the commands use too."""
    monkeypatch.setattr(databases, "connect", lambda _: database)
    url = database.engine.url.render_as_string(hide_password=False)
    return setup(DATABASE_URL=url).receiver()


def order(number, customer="ada", **properties):
    return {
        "type": "track",
        "messageId": f"m{number}",
        "userId": customer,
        "event": "Order Completed",
        "properties": {"number": number, **properties},
    }


def replay(*options):
    return CliRunner().invoke(main, ["replay", *options], catch_exceptions=False)


def drain(database, verdict_of=lambda _: DELIVERED):
    """Send all that waits, as a worker does; the payloads in the order in which they left."""
    sent, done = [], []
    while leases := lease(database, 200, done):
        payloads = [json.loads(leased.payload) for leased in leases]
        sent += payloads
        done = [
            outcome(leased, verdict_of(payload))
            for leased, payload in zip(leases, payloads, strict=True)
        ]
    return sent


def numbers(sent):
    return [payload["metadata"]["number"] for payload in sent]


def statuses(database):
    return {row["message_id"]: row["status"] for row in lists.deliveries(database)}


def rejected(_):
    return Verdict.REJECTED


def unknown(_):
    return Verdict.UNKNOWN


def test_of_all_events_the_missing_tenth_is_sent_once_in_order_though_it_is_killed(receiver):
    database = receiver.database
    calls = [order(n, f"u{n % CUSTOMERS}") for n in range(EVENTS)]
    for start in range(0, EVENTS, 500):
        receiver.take(calls[start : start + 500], "segment")
    missing = [n for n in range(EVENTS) if n % 10 == 3]
    drain(database, lambda p: Verdict.REJECTED if p["metadata"]["number"] % 10 == 3 else DELIVERED)

    words = f"{len(missing):,} of {len(missing):,} failed deliveries would be put on their way."
    assert words in replay("--failed", "--dry-run").output
    assert sum(status == "failed" for status in statuses(database).values()) == len(missing)

    rate = len(missing) / 2
    command = [sys.executable, "-m", "destination", "replay", "--failed", "--rate", str(rate)]
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: lists.counts(database).get("pending", 0) > len(missing) / 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = lists.counts(database)["pending"]
    assert first < len(missing)
    assert first <= rate * (time.monotonic() - began) + BATCH

    rest = len(missing) - first
    assert f"{rest:,} of {rest:,} failed" in replay("--failed", "--dry-run").output
    assert f"{rest:,} of {rest:,} failed" in replay("--failed").output
    sent = drain(database)
    assert sorted(numbers(sent)) == missing
    for customer in range(CUSTOMERS):
        own = [n for n in numbers(sent) if n % CUSTOMERS == customer]
        assert own == sorted(own)
    assert set(statuses(database).values()) == {"delivered"}
    assert "0 of 0 failed" in replay("--failed").output


def test_a_failed_delivery_is_made_anew_by_the_mapping_as_it_is_now(receiver, mappings):
    receiver.take([order(1)], "segment")
    drain(receiver.database, rejected)
    path = mappings / "track-event.yaml"
    path.write_text(path.read_text().replace("metadata: $.properties", "metadata: {number: 99}"))

    replay("--failed")
    assert numbers(drain(receiver.database)) == [99]
    [row] = lists.deliveries(receiver.database)
    assert (row["status"], row["attempts"]) == ("delivered", 2)


def test_a_retry_sends_a_failed_delivery_just_as_it_was(receiver, mappings):
    receiver.take([order(1)], "segment")
    drain(receiver.database, rejected)
    path = mappings / "track-event.yaml"
    path.write_text(path.read_text().replace("metadata: $.properties", "metadata: {number: 99}"))

    result = CliRunner().invoke(main, ["deliveries", "retry", "--all"])
    assert "1 will be sent again." in result.output
    assert numbers(drain(receiver.database)) == [1]


def test_a_failed_delivery_whose_mapping_does_not_fire_any_more_stays_failed(receiver, mappings):
    receiver.take([order(1)], "segment")
    drain(receiver.database, rejected)
    path = mappings / "track-event.yaml"
    path.write_text(path.read_text().replace('type = "track"', 'type = "page"'))

    for options in (["--dry-run"], []):
        result = replay("--failed", *options)
        assert "no_matching_mapping" in result.output
        assert "0 of 1 failed deliveries" in result.output
    assert statuses(receiver.database) == {"m1": "failed"}


def test_a_replayed_failure_leaves_before_what_is_newer_and_waits(receiver):
    receiver.take([order(1)], "segment")
    drain(receiver.database, rejected)
    receiver.take([order(2)], "segment")

    replay("--failed")
    assert numbers(drain(receiver.database)) == [1, 2]


def test_a_replayed_discard_leaves_before_what_is_newer_and_waits(receiver, mappings):
    path = mappings / "track-event.yaml"
    text = path.read_text()
    path.write_text(text.replace('type = "track"', 'type = "track" and properties.number >= 3'))
    receiver.routes.look()
    receiver.take([order(1), order(2), order(3), order(4)], "segment")

    path.write_text(text)
    assert "2 of 2 discards would be" in replay("--discarded", "--dry-run").output
    assert "2 of 2 discards were put" in replay("--discarded").output
    assert list(lists.discards(receiver.database)) == []
    assert numbers(drain(receiver.database)) == [1, 2, 3, 4]


def test_discards_that_the_mappings_still_drop_stay_as_they_are(receiver):
    receiver.take([{**order(1), "userId": None}, "no call"], "segment")
    before = list(lists.discards(receiver.database))

    result = replay("--discarded")
    assert "0 of 2 discards" in result.output
    assert "id_required" in result.output
    assert list(lists.discards(receiver.database)) == before


def test_what_is_too_large_is_still_too_large_until_the_setting_allows_it(receiver, monkeypatch):
    receiver.take([order(1, note="x" * 40_000)], "segment")
    assert "event_too_large" in replay("--discarded").output

    monkeypatch.setenv("DESTINATION_MAX_EVENT_BYTES", "50000")
    assert "1 of 1 discards were put" in replay("--discarded").output
    assert numbers(drain(receiver.database)) == [1]


def test_a_discard_that_is_dropped_for_another_reason_says_so(receiver, mappings):
    receiver.take([{"type": "page", "messageId": "p", "userId": "ada"}], "segment")
    (mappings / "page.yaml").write_text(
        'name: Page\naction: trackEvent\ntrigger: type = "page"\n'
        "fields: {source_id: $.userId, event_name: $.event}\n"
    )

    replay("--discarded")
    [discard] = lists.discards(receiver.database)
    assert (discard["reason"], discard["mapping"]) == ("payload_validation_failed", "Page")


def test_two_mappings_that_broke_on_one_event_run_again_in_one_step(receiver, mappings):
    broken = 'fields: {source_id: $.userId, event_name: a, metadata: {t: {"@template": "%s"}}}\n'
    for name in ("One", "Two"):
        text = f'name: {name}\naction: trackEvent\ntrigger: type = "track"\n'
        (mappings / f"{name}.yaml").write_text(text + broken % ("{{properties.note}}" * 100))
    receiver.routes.look()
    receiver.take([order(1, note="long" * 5000)], "segment")
    for name in ("One", "Two"):
        path = mappings / f"{name}.yaml"
        path.write_text(path.read_text().replace("{{properties.note}}" * 100, "x"))

    assert "2 of 2 quarantined events were put" in replay("--quarantined").output
    assert len(drain(receiver.database)) == 3


def test_a_dry_run_sees_that_a_referral_code_is_taken_by_now(receiver, mappings):
    path = mappings / "identify-user.yaml"
    text = path.read_text()
    path.write_text(text.replace('type = "identify"', 'type = "identify" and userId = "bob"'))
    receiver.routes.look()

    def identify(user):
        return {
            "type": "identify",
            "messageId": user,
            "userId": user,
            "traits": {"referral_code": "CODE"},
        }

    receiver.take([identify("ada"), identify("bob")], "segment")
    path.write_text(text)
    for options in (["--dry-run"], []):
        result = replay("--discarded", *options)
        assert "referral_code_taken" in result.output
        assert "0 of 1 discards" in result.output


def test_what_is_uncertain_is_sent_again_only_with_the_word_for_it(receiver):
    receiver.take([order(1)], "segment")
    drain(receiver.database, unknown)

    refused = replay("--uncertain")
    assert (refused.exit_code, "--may-pay-twice" in refused.output) == (2, True)
    assert "1 of 1 uncertain deliveries would" in replay("--uncertain", "--dry-run").output
    assert statuses(receiver.database) == {"m1": "uncertain"}
    assert "1 of 1 uncertain" in replay("--uncertain", "--may-pay-twice").output
    assert numbers(drain(receiver.database)) == [1]


def test_filters_choose(receiver):
    receiver.take([order(n, f"u{n}") for n in range(4)], "segment")
    drain(receiver.database, rejected)

    for options in (
        ["--since", "2030-01-01"],
        ["--until", "1h"],
        ["--destination", "reward"],
        ["--reason", "http_404"],
        ["--mapping", "Identify User"],
    ):
        assert "0 of 0 failed" in replay("--failed", "--dry-run", *options).output
    options = ["--since", "1h", "--until", "2100-01-01T00:00:00+02:00", "--destination", "rehook"]
    options += ["--reason", "http_400", "--mapping", "Track Event"]
    assert "4 of 4 failed" in replay("--failed", "--dry-run", *options).output


@pytest.mark.parametrize(
    "options",
    [
        ["--failed", "--since", "yesterday"],
        ["--failed", "--new-ids"],
        ["--failed", "--may-pay-twice"],
        ["--quarantined", "--reason", "x"],
        ["calls.json", "--reason", "x"],
    ],
)
def test_what_does_not_go_together_is_refused(options):
    assert replay(*options).exit_code == 2


def test_uncertain_ones_are_settled_by_filter(receiver):
    receiver.take([order(n, f"u{n}") for n in range(4)], "segment")
    drain(receiver.database, unknown)

    def settled(*options):
        command = ["deliveries", "settle", *options]
        return CliRunner().invoke(main, command, catch_exceptions=False)

    assert "1 are delivered." in settled("--delivered", "--all", "--customer", "u1").output
    assert "0 are delivered." in settled("--delivered", "--all", "--until", "1h").output
    assert settled("--delivered", "1", "--customer", "u1").exit_code == 2
    assert "3 will be sent again." in settled("--retry", "--all", "--mapping", "Track Event").output


def test_the_list_counts_what_is_uncertain_with_its_age(receiver):
    receiver.take([order(1)], "segment")
    acknowledge(receiver.database, *(outcome(c, Verdict.UNKNOWN) for c in lease(receiver.database)))

    listed = CliRunner().invoke(main, ["deliveries"]).output
    assert "1 uncertain, the oldest for" in listed.splitlines()[-1]


def test_a_filter_of_nothing_chooses_all_and_each_of_its_parts_chooses(receiver):
    receiver.take([order(1, "ada"), order(2, "bob")], "segment")
    found = {row["message_id"]: row for row in lists.deliveries(receiver.database)}

    def chosen(**parts):
        return [row["message_id"] for row in lists.deliveries(receiver.database, Filter(**parts))]

    assert chosen() == ["m2", "m1"]
    assert chosen(customer="ada") == chosen(message_id="m1") == ["m1"]
    assert chosen(ids=[found["m2"]["id"]]) == ["m2"]
    assert chosen(source="rehook") == chosen(until=found["m1"]["created_at"]) == []


def test_a_pace_keeps_to_its_rate(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    pace = counting.Throttle(20.0, most=100)

    assert pace.size == 5
    pace.wait(5)
    pace.wait(5)
    assert slept == [0.25, 0.5]
