"""What an exchange means for a claim."""

from dataclasses import replace

import pytest

from destination.model.lease import Lease
from destination.model.verdict import Exchange, Verdict
from destination.partners.rehook import RehookSettings
from destination.partners.rehook.destination import Rehook
from destination.worker.channel import open_channel
from tests.store.worker.test_loop import SETTINGS

CLAIM = Lease(
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
    leased_at=0.0,
    first_attempt_at=0.0,
    interrupted=False,
    crashes=0,
    refusals=0,
    bulk=False,
    probe=False,
)


@pytest.mark.parametrize(("asked", "low", "high"), [("7", 7.0, 7.0), ("0", 0.1, 4.0)])
def test_a_wait_is_as_long_as_was_asked_and_none_is_no_wait(asked, low, high):
    """An engine that asks to come back at once, and is busy again, would be asked without end."""
    channel = open_channel(Rehook(RehookSettings(url="http://127.0.0.1:9")), SETTINGS)
    channel.chance.seed(1)
    request, _ = channel.due(CLAIM)
    exchange = Exchange(method="POST", url="", status=429, retry_after=asked)

    assert low <= channel.classify(CLAIM, request, exchange, last=True).wait <= high


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
    channel = open_channel(Rehook(RehookSettings(url="http://127.0.0.1:9")), SETTINGS)
    lease = replace(CLAIM, refusals=refusals, probe=probe)
    request, _ = channel.due(lease)
    exchange = Exchange(method="POST", url="", status=status)

    assert channel.classify(lease, request, exchange, last=True).verdict is verdict
