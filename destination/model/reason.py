"""Reasons: the codes that say why something was not delivered.

A delivery that failed has the code of its last answer, `http_400`, or of the trouble that there
was instead (`verdict.Trouble`), or one of `FailureReason`.
"""

from enum import StrEnum


class DiscardReason(StrEnum):
    """Why an event, or one of its mappings, made no delivery."""

    # The call cannot be taken as it stands: alone in its request, it is answered 400.
    BAD_REQUEST = "bad_request"
    NESTED_TOO_DEEP = "nested_too_deep"
    EVENT_TOO_LARGE = "event_too_large"
    ID_INVALID = "id_invalid"
    ID_TOO_LONG = "id_too_long"
    # It names nobody who can be rewarded, or is a kind of call that we do not take.
    UNSUPPORTED_EVENT_TYPE = "unsupported_event_type"
    ANONYMOUS = "anonymous"
    ID_REQUIRED = "id_required"
    LOOP = "loop"
    EVENT_NOT_WANTED = "event_not_wanted"
    # The mapping files, and what the call says of itself.
    NO_MATCHING_MAPPING = "no_matching_mapping"
    FILTERED_BY_INTEGRATIONS_OBJECT = "filtered_by_integrations_object"
    TOO_OLD = "too_old"
    PAYLOAD_VALIDATION_FAILED = "payload_validation_failed"
    NO_SUBSCRIBER = "no_subscriber"
    # Quarantine: a mapping broke on it. It waits, and runs again after the fix.
    MAPPING_FAILED = "mapping_failed"
    # Given up: it left quarantine, since each of three tries took the process down.
    QUARANTINED = "quarantined"
    # The rules, by what came before it.
    REFERRAL_CODE_REQUIRED = "referral_code_required"
    REFERRAL_CODE_TAKEN = "referral_code_taken"
    SELF_REFERRAL = "self_referral"
    STALE = "stale"
    SUPERSEDED = "superseded"
    ALREADY_AWARDED = "already_awarded"


#: The reasons of a call that cannot be taken as it stands.
REFUSALS = {
    DiscardReason.BAD_REQUEST,
    DiscardReason.NESTED_TOO_DEEP,
    DiscardReason.EVENT_TOO_LARGE,
    DiscardReason.ID_INVALID,
    DiscardReason.ID_TOO_LONG,
}


class DeliveredReason(StrEnum):
    """Why a delivery counts as delivered whose answer was not seen."""

    CONFIRMED = "confirmed"  # the engine told of it by a notice
    SETTLED_BY_HAND = "settled_by_hand"  # a person resolved it


class FailureReason(StrEnum):
    """Why a delivery failed, or will not be sent again, whatever the engine answered."""

    ACCOUNT_INACTIVE = "account_inactive"  # its subscriber has gone
    ALREADY_AWARDED = "already_awarded"  # another delivery has made its award
    CRASHED = "crashed"  # one worker after the other died while it was being sent
    STALE = "stale"  # newer events have set all of its traits


class HoldReason(StrEnum):
    """Why a destination is on hold; or it is the code of an answer: `http_401`, `http_403`."""

    BY_HAND = "by_hand"  # a person paused it: until a person resumes it
    BREAKER = "breaker"  # the circuit breaker is open: it is probed
