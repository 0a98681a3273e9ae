"""What an exchange means for a claim."""

import pytest

from destination.deliveries import Exchange
from destination.partners.rehook import RehookSettings
from destination.partners.rehook.destination import Rehook
from destination.performing import open_line
from destination.store.claims import Claim
from tests.test_worker import SETTINGS

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
    bulk=False,
    probe=False,
)


@pytest.mark.parametrize(("asked", "low", "high"), [("7", 7.0, 7.0), ("0", 0.1, 4.0)])
def test_a_wait_is_as_long_as_was_asked_and_none_is_no_wait(asked, low, high):
    """An engine that asks to come back at once, and is busy again, would be asked without end."""
    line = open_line(Rehook(RehookSettings(url="http://127.0.0.1:9")), SETTINGS)
    line.chance.seed(1)
    [request] = line.requests(CLAIM)
    exchange = Exchange(method="POST", url="", status=429, retry_after=asked)

    assert low <= line.judge(CLAIM, request, exchange, last=True).wait <= high
