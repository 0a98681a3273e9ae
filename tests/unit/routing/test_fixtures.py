"""Every fixture says what becomes of it, and that becomes of it."""

import json
from pathlib import Path

import pytest

from destination.cli import call_files
from destination.routing.route import arrive
from tests.conftest import ROOT

#: What sources send. Beside it stands what clients of the subscribers' API do.
FILES = sorted((ROOT / "fixtures").glob("*/*valid/*.json"))
each_fixture = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(ROOT / "fixtures").with_suffix(""))
)

#: With these everything that can be routed is.
SETTINGS = {"REHOOK_CONVERSION_EVENTS": "signup", "SEGMENT_TRACKING_KEY": "key"}

#: What routing alone cannot know: it takes what was received before.
REMEMBERED = {"duplicate", "referral_code_taken", "self_referral", "stale"}


@each_fixture
def test_a_fixture_becomes_what_it_says(path: Path, setup):
    source = path.parent.parent.name
    ours = setup(**SETTINGS)
    ours.destinations["webhook"].subscribe([])
    [payload] = call_files.read_all([str(path)], ours.sources[source])
    arrived = arrive(payload.call, source, ours.routes())

    if REMEMBERED & set(payload.expect.values()):
        assert arrived.deliveries
    elif payload.expect == {"outcome": "accepted"}:
        assert arrived.deliveries
        assert not arrived.discards
    else:
        assert [discard.reason for discard in arrived.discards] == [payload.expect["reason"]]
        assert payload.expect["outcome"] == "discarded"


@each_fixture
def test_a_fixture_stands_in_the_folder_of_its_outcome(path: Path):
    outcome = json.loads(path.read_text())["expect"]["outcome"]

    assert path.parent.name == ("invalid" if outcome == "discarded" else "valid")


def test_every_rule_has_a_fixture():
    reasons = {json.loads(path.read_text())["expect"].get("reason") for path in FILES}

    assert reasons >= {
        "anonymous",
        "bad_request",
        "event_too_large",
        "filtered_by_integrations_object",
        "id_invalid",
        "id_required",
        "id_too_long",
        "nested_too_deep",
        "no_matching_mapping",
        "payload_validation_failed",
        "referral_code_required",
        "referral_code_taken",
        "self_referral",
        "stale",
        "unsupported_event_type",
    }


def test_no_two_fixtures_are_one_call():
    ids = [
        json.loads(path.read_text()).get("call", {}).get("messageId", path.name)
        for path in FILES
        if path.parent.parent.name == "segment" and path.stem not in ("duplicate", "wrapped")
    ]

    assert len(ids) == len(set(ids))
