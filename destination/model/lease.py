"""A lease and its acknowledgement: the two values that pass between a worker and the store."""

from dataclasses import dataclass

from destination.model.delivery import Status
from destination.model.verdict import Exchange, Verdict


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One delivery that a worker may send now: until the lease ends, its lane is the worker's."""

    delivery_id: int
    attempt_id: int
    lane_id: int
    #: Names this lease; the acknowledgement repeats it.
    token: str
    destination: str
    action: str
    payload: str
    #: How many of its requests have been answered.
    step: int
    #: How many attempts there have been, with this one.
    attempts: int
    #: When the delivery was taken in, leased, and first tried, by the database's clock.
    created_at: float
    leased_at: float
    first_attempt_at: float
    #: The worker that had it died, and its request may have left: it is classified, not sent.
    interrupted: bool
    #: How many workers in a row died while it was being sent.
    crashes: int
    #: How often it was refused as with wrong credentials.
    refusals: int
    #: It came from a lane with nothing but bulk.
    bulk: bool
    #: It is sent to see whether a held destination takes requests again.
    probe: bool

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from every other lease, of the same delivery too."""
        return self.token, self.delivery_id

    @property
    def suspect(self) -> bool:
        """Whether a worker may die of it: a worker sends one such delivery at a time."""
        return self.crashes > 0 and not self.interrupted


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """What became of a lease."""

    lease: Lease
    exchange: Exchange
    verdict: Verdict
    #: The delivery's status from now on.
    status: Status
    reason: str | None = None
    #: Seconds until its lane may send again.
    wait: float = 0.0
    #: How many of its requests have been answered by now.
    step: int = 0
    #: A referral code that turned out to be somebody else's.
    lost_code: str | None = None
