"""The rows of the lists, as people and scripts see them. Times are seconds since 1970 UTC."""

from typing import TypedDict


class EventRow(TypedDict):
    """An event, and what became of it."""

    id: int
    message_id: str
    source: str
    type: str | None
    name: str | None
    received_at: float
    outcome: str
    reason: str | None


class DeliveryRow(TypedDict):
    """A delivery, and where it stands."""

    id: int
    message_id: str
    source: str
    destination: str
    mapping: str
    #: The customer whose deliveries leave in order.
    lane: str
    status: str
    attempts: int
    reason: str | None
    created_at: float
    settled_at: float | None


class ListedDelivery(DeliveryRow):
    """A delivery in a list."""

    #: When it came to stand where it stands.
    since: float


class DiscardRow(TypedDict):
    """Why an event made no delivery, for one mapping or for all."""

    id: int
    message_id: str
    source: str
    destination: str | None
    mapping: str | None
    reason: str
    detail: str
    created_at: float


class WholeDiscard(DiscardRow):
    """A discard with the call that made it."""

    call: str


class WholeEvent(TypedDict):
    """An event with its call, and all that it made."""

    id: int
    message_id: str
    source: str
    type: str | None
    name: str | None
    user_id: str | None
    timestamp: float | None
    received_at: float
    #: JSON text; empty once it is past its age.
    call: str
    emptied_at: float | None
    deliveries: list[DeliveryRow]
    discards: list[DiscardRow]


class HoldRow(TypedDict):
    """A destination that is paused."""

    destination: str
    reason: str
    since: float
    probe_at: float | None


class AccountRow(TypedDict):
    """Somebody who subscribed to events."""

    id: str
    name: str
    url: str
    method: str
    headers: dict[str, str]
    event_names: list[str]
    connections: int
    sla: int | None
    active: bool
    consumer_group: str
    secret: str
    old_secret: str | None
    old_secret_until: float | None
    created_at: float
    created_by: str
    updated_at: float
    updated_by: str


class LogRow(TypedDict):
    """A notification, with its first attempt's begin and its last one's answer."""

    id: str
    ref_id: str
    request_id: str
    name: str
    consumer_group: str
    #: Seconds after which it is late.
    sla: int | None
    received_at: float
    settled_at: float | None
    first_started_at: float | None
    started_at: float | None
    ended_at: float | None
    http_status: int | None
    now: float
