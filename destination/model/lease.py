"""The two values between a worker and the store: what it may send, and what became of it."""

from dataclasses import dataclass

from destination.model.delivery import Status
from destination.model.verdict import Exchange, Verdict


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One delivery that a worker may send now."""

    delivery_id: int
    attempt_id: int
    lane_id: int
    #: Names this claim; settling it says the token again.
    token: str
    destination: str
    action: str
    payload: str
    #: How many of its requests have been answered.
    step: int
    #: How many attempts there have been, with this one.
    attempts: int
    #: When it was taken in, claimed, and first tried, by the database's clock.
    created_at: float
    claimed_at: float
    first_attempt_at: float
    #: The worker that had it under way died, and its request may have left: it is judged, not sent.
    interrupted: bool
    #: Some worker died while it was under way; and how often a process did that performed nothing
    #: else.
    suspect: bool
    crashes: int
    #: How often it was refused as with wrong credentials.
    refusals: int
    #: It came from a lane with nothing but bulk.
    bulk: bool
    #: Sent to see whether a held destination is well again.
    probe: bool


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What became of a claim."""

    claim: Claim
    exchange: Exchange
    verdict: Verdict
    #: Where the delivery stands from now on.
    status: Status
    reason: str | None = None
    #: Seconds until its lane may send again.
    wait: float = 0.0
    #: How many of its requests have been answered by now.
    step: int = 0
    #: A referral code that turned out to be somebody else's.
    lost_code: str | None = None
