"""A verdict says what an answer, or its absence, means for a delivery."""

import random
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

from destination.model.delivery import Status

#: The longest that a Retry-After is believed.
MAX_RETRY_AFTER = 24 * 3600.0

#: The longest wait between two tries of our own choosing.
MAX_BACKOFF = 15 * 60.0


class Verdict(Enum):
    """What an answer means for the delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"  # the engine may accept it later: tried again, in its place
    REJECTED = "rejected"  # the same request would be refused again
    UNKNOWN = "unknown"  # the engine may have processed it, or not
    HOLD = "hold"  # nothing is wrong with the delivery: the destination is paused

    @property
    def status(self) -> Status:
        """Where the delivery stands after it."""
        return _STATUS_AFTER[self]


_STATUS_AFTER = {
    Verdict.DELIVERED: Status.DELIVERED,
    Verdict.RETRY: Status.PENDING,
    Verdict.REJECTED: Status.FAILED,
    Verdict.UNKNOWN: Status.UNCERTAIN,
    Verdict.HOLD: Status.PENDING,
}


class Health(Enum):
    """Whether an engine works as a whole."""

    UP = "up"  # it answers, whatever it says of this one request
    DOWN = "down"  # it cannot be reached, or breaks on what it is sent
    UNKNOWN = "unknown"  # nothing is learnt of it: what went wrong is ours


class Trouble(Enum):
    """Why there is no answer."""

    NOT_SENT = "not_sent"  # refused, DNS, TLS: nothing of the request left
    TIMEOUT = "timeout"  # the request left, and no answer came in time
    CONNECTION_LOST = "connection_lost"  # it left, and the connection ended before the answer
    WORKER_DIED = "worker_died"  # it may have left; nobody lived to see the answer
    FAULT = "fault"  # our own program broke on it
    LATE = "late"  # our worker was paused, and its lease half over: nothing of it left


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One HTTP exchange, seen from our side. Either `status` or `trouble` is set."""

    method: str
    url: str
    status: int | None = None
    trouble: Trouble | None = None
    #: The answer's text, cut to 64 KB; or what the trouble was, in words.
    answer: str = ""
    retry_after: str | None = None


#: The statuses that mean "later": the engine did not process the request.
_LATER = {408, 423, 425, 429, 503}
#: The engine broke down before or while it processed the request, and says so.
_BROKEN = {500, *range(505, 512), 598, 599}
#: Said by a gateway, or by nobody who is known, as a CDN's 520 to 530: the engine may have
#: processed the request, or not.
_LOST_SIGHT = {502, 504, *range(512, 598), *range(600, 1000)}
_CREDENTIALS = {401, 403}
#: The engine as a whole is down, or cannot be seen.
_DOWN = {503, *_BROKEN, *_LOST_SIGHT}
_NOTHING_LEFT = {Trouble.NOT_SENT, Trouble.LATE}
#: What happened on our side, and tells nothing of the engine.
_OUR_OWN = {Trouble.WORKER_DIED, Trouble.FAULT, Trouble.LATE}


def classify(exchange: Exchange, *, idempotent: bool, ambiguous: str) -> Verdict:
    """What an exchange means, by the table of docs/operations.md, "What an answer means".

    `idempotent`: sent twice, the request does what it does once. `ambiguous`: `park` or
    `retry` an award whose answer is unknown.
    """
    lost = Verdict.RETRY if idempotent or ambiguous == "retry" else Verdict.UNKNOWN
    if exchange.status is None:
        return Verdict.RETRY if exchange.trouble in _NOTHING_LEFT else lost
    if 200 <= exchange.status < 300:
        return Verdict.DELIVERED
    if exchange.status in _LATER | _BROKEN:
        return Verdict.RETRY
    if exchange.status in _LOST_SIGHT:
        return lost
    if exchange.status in _CREDENTIALS:
        return Verdict.HOLD
    return Verdict.REJECTED


def engine_health(exchange: Exchange) -> Health:
    """What an exchange tells of the engine as a whole: the circuit breaker counts it."""
    if exchange.status is None:
        return Health.UNKNOWN if exchange.trouble in _OUR_OWN else Health.DOWN
    return Health.DOWN if exchange.status in _DOWN else Health.UP


def reason_of(exchange: Exchange) -> str:
    """The code under which an exchange that did not deliver is listed: `http_400`, `timeout`."""
    return exchange.trouble.value if exchange.trouble else f"http_{exchange.status}"


def backoff(tries: int, chance: random.Random) -> float:
    """Seconds until the next try: exponential with full jitter, from 1 s up to 15 min."""
    return chance.uniform(0.0, min(MAX_BACKOFF, 2.0 ** min(tries - 1, 16)))


def retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds that a Retry-After asks to wait: a number of them, or a date in one of HTTP's
    three forms. None where there is none that can be understood; never more than a day.

    `now` in seconds since 1970 UTC.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        wait = float(value[:10])
    else:
        try:
            moment = parsedate_to_datetime(value)
            wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return min(wait, MAX_RETRY_AFTER) if wait >= 0 else None
