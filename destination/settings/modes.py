"""Modes: what a setting chooses among, where the choice changes what becomes of a call."""

from enum import StrEnum


class AnonymousCalls(StrEnum):
    """What becomes of a call that has an anonymousId beside its userId."""

    SEND = "send"
    DROP = "drop"


class OldCodes(StrEnum):
    """What becomes of a customer's referral code when it brings another one."""

    KEEP = "keep"  # it stays the customer's own
    FREE = "free"  # another customer may bring it


class StaleTraits(StrEnum):
    """What becomes of a trait that arrives after a newer event has set it."""

    DROP = "drop"
    SEND = "send"


class UnknownAwards(StrEnum):
    """What becomes of an award whose answer is unknown."""

    PARK = "park"  # it is uncertain until a person resolves it
    RETRY = "retry"  # it is sent again, and may be paid twice
