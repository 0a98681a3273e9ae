"""A delivery is one payload on its way, and its status says where it stands.

pending ──lease──▶ sending ──acknowledge──▶ delivered
   ▲                  │ ├─────────────────▶ failed
   └──retry, hold─────┘ └─────────────────▶ uncertain

By hand, what failed or is uncertain is sent again (pending), and what is uncertain is marked
delivered; an engine's own notice of it does that too. What is pending fails where its subscriber
has gone, and becomes a discard where a newer one makes it needless.
"""

from dataclasses import dataclass
from enum import Enum

from destination.support.json_codec import Json


class Status(Enum):
    """Where a delivery stands."""

    PENDING = "pending"  # waits in its lane
    SENDING = "sending"  # a worker has leased its lane, and sends it
    DELIVERED = "delivered"  # the engine has taken it
    FAILED = "failed"  # the engine will not take it: kept, shown, can be retried by hand
    UNCERTAIN = "uncertain"  # an award whose answer is unknown: a person looks before it is retried


@dataclass(frozen=True, kw_only=True)
class Award:
    """What a delivery pays, so that it is paid once."""

    #: What it is known by, as SHA-256: its event first, then the value that its mapping names.
    keys: tuple[bytes, ...]
    #: Seconds for which they are remembered.
    memory: float


@dataclass(frozen=True, kw_only=True)
class Notification:
    """What we tell one subscriber. It asks by these ids what became of it."""

    #: Its own: the same in every attempt, another one for every subscriber.
    id: str
    #: The id of the call that caused it.
    request_id: str
    #: The id of what it is about, such as a transaction.
    ref_id: str
    #: The event's name, as subscribers know it.
    name: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What routing makes of an event for one mapping. It does not change from then on; the body of
    the HTTP request is made of its payload when it is sent (`Action.requests`).
    """

    mapping: str
    destination: str
    action: str
    #: Deliveries of one customer to one destination leave in order, one at a time.
    customer: str
    #: The fields that the mapping made, as JSON text, in the order of the mapping file.
    payload: str
    #: A referral code that this customer brings as its own, or None.
    code: str | None = None
    #: The field of the payload that the code stands in.
    code_field: str | None = None
    #: Whether the codes that the customer brought before become free.
    frees_codes: bool = False
    #: A referral code that the customer signs up with: it must not be its own.
    used_code: str | None = None
    #: What it sets of the customer, as places in its payload: `metadata.name`, `referral_code`.
    #: Where something newer has set one of them, it is not sent.
    traits: tuple[str, ...] = ()
    #: What it pays; None for what may be sent twice.
    award: Award | None = None
    #: The digest of the mapping files that made it.
    mapping_set: str | None = None
    #: It may wait for everything that is not: an audience's updates, a replay.
    bulk: bool = False
    #: What a subscriber is told by it; None where it goes to no subscriber.
    notification: Notification | None = None

    def discarded(self, reason: str, detail: str) -> "Discard":
        """What stands in its place where it is not sent."""
        return Discard(
            reason=reason, detail=detail, mapping=self.mapping, destination=self.destination
        )


@dataclass(frozen=True, kw_only=True)
class Discard:
    """Why an event made no delivery."""

    reason: str
    detail: str
    #: The mapping that would have made the delivery; None where no mapping was asked.
    mapping: str | None = None
    destination: str | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What an engine shows, by a notice of its own, to have been processed."""

    destination: str
    customer: str
    #: The fields of the delivery's payload, as the notice repeats them.
    fields: dict[str, Json]
