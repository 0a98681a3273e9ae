"""What an exchange means for a claim."""

from dataclasses import replace

import pytest

from destination.model.lease import Claim
from destination.model.verdict import Exchange, Verdict
from destination.partners.rehook import RehookSettings
from destination.partners.rehook.destination import Rehook
from destination.worker.attempt import open_line
from tests.store.worker.test_loop import SETTINGS

CLAIM = Claim(
    delivery_id=1,
    attempt_id=1,
    lane_id=1,
    token="t",
    destination="rehook",
    action="trackEvent",
    payload='{"event_name":"x","source_id":"u1"}',
    step=0,
    attempts=3,
    created_at=0.0,
    claimed_at=0.0,
    first_attempt_at=0.0,
    interrupted=False,
    suspect=False,
    crashes=0,
    refusals=0,
    bulk=False,
    probe=False,
)


@pytest.mark.parametrize(("asked", "low", "high"), [("7", 7.0, 7.0), ("0", 0.1, 4.0)])
def test_a_wait_is_as_long_as_was_asked_and_none_is_no_wait(asked, low, high):
    """An engine that asks to come back at once, and is busy again, would be asked without end."""
    line = open_line(Rehook(RehookSettings(url="http://127.0.0.1:9")), SETTINGS)
    line.chance.seed(1)
    request, _ = line.due(CLAIM)
    exchange = Exchange(method="POST", url="", status=429, retry_after=asked)

    assert low <= line.judge(CLAIM, request, exchange, last=True).wait <= high


@pytest.mark.parametrize(
    ("status", "refusals", "probe", "verdict"),
    [
        (403, 1, False, Verdict.HOLD),
        (403, 2, False, Verdict.REJECTED),
        (403, 99, True, Verdict.HOLD),  # nothing was taken in between
        (401, 99, False, Verdict.HOLD),
    ],
)
def test_what_is_forbidden_again_and_again_while_others_are_not_has_failed(
    status, refusals, probe, verdict
):
    line = open_line(Rehook(RehookSettings(url="http://127.0.0.1:9")), SETTINGS)
    claim = replace(CLAIM, refusals=refusals, probe=probe)
    request, _ = line.due(claim)
    exchange = Exchange(method="POST", url="", status=status)

    assert line.judge(claim, request, exchange, last=True).verdict is verdict
