"""A destination receives our deliveries: its address, its credentials, and what it can do.

The classes here say what most partners say. A partner's class names what differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from destination.model.delivery import Discard, Notification
from destination.model.event import Event
from destination.model.request import Request
from destination.outbound.ssrf_guard import Guard
from destination.partners.base.fields import ActionFields, CustomerField
from destination.settings.tables import Pacing
from destination.support.json_codec import Json


@dataclass(frozen=True, kw_only=True)
class EndpointPayload:
    """What one endpoint of a destination gets of a payload that is fanned out."""

    #: A destination by itself when it is delivered to, with lanes of its own: `webhook:5e9d…`.
    endpoint: str
    payload: dict[str, Json]
    notification: Notification


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing that a destination can do."""

    #: As mapping files name it: `trackEvent`.
    name: str
    label: str
    description: str
    #: The fields to send, each declared once. One of them is the customer: deliveries of one
    #: customer leave in order.
    fields: ActionFields
    #: What to send for a payload, in order: the last request does the work, those before
    #: it ask whether it may be done.
    requests: Callable[[dict[str, Json]], Sequence[Request]]
    #: The trigger that a new mapping begins with.
    trigger: str = 'type = "track"'
    #: A rule of the partner's that drops a payload: the reason, or None.
    rule: Callable[[dict[str, Json]], Discard | None] | None = None
    #: The field that brings a referral code of the customer's own, if there is one.
    code: str | None = None
    #: The referral code with which a payload signs its customer up, or None.
    used_code: Callable[[dict[str, Json]], str | None] | None = None
    #: The field whose keys are the customer's traits, if there is one. A request sets the traits
    #: that it has, and leaves the others as they were.
    traits: str | None = None
    #: For a destination with endpoints of its own: who gets a payload that a mapping, given by its
    #: name, made of an event. None: the destination itself gets it, as it is.
    fan_out: Callable[[dict[str, Json], Event, str], Sequence[EndpointPayload]] | None = None

    @cached_property
    def customer(self) -> str:
        """The name of the field that names the customer."""
        fields = self.fields.fields.items()
        [name] = [name for name, field in fields if isinstance(field, CustomerField)]
        return name


class Destination:
    """Receives our deliveries."""

    #: The partner's name, as in mapping files and lists: `rehook`.
    name: str
    #: What people call it.
    label: str
    #: The settings that hold its credentials.
    credentials: Sequence[str] = ()
    #: Whether it is delivered to: mappings to one that is not are switched off.
    in_use: bool = True
    #: How many requests it bears at once, from all workers together; None: each worker has its
    #: own bound.
    connections: int | None = None
    #: Seconds from its first attempt for which a delivery is tried again; None: as the service's
    #: own setting says.
    horizon: float | None = None
    #: Where it may be, if a stranger supplied its address; None: wherever its setting says.
    guard: Guard | None = None

    def __init__(self, *, url: str, pacing: Pacing, actions: Sequence[Action]) -> None:
        """`url` is its address, `https://api.rehook.ai`; `pacing` how fast it may be sent to."""
        self.url = url
        self.pacing = pacing
        self.actions = {action.name: action for action in actions}

    @property
    def integration(self) -> str:
        """Its key in a call's `integrations` object."""
        return self.label

    def headers(self) -> Mapping[str, str]:
        """What every request carries: its credentials."""
        return {}

    def check(self) -> Request | None:
        """A request that shows whether the credentials are accepted, and changes nothing; None
        where the API offers none.
        """
        return None


class Batching(Destination, ABC):
    """A destination that takes many deliveries in one request."""

    @abstractmethod
    def batch(self, requests: Sequence[Request]) -> tuple[Request, int]:
        """One request that does what the first of `requests` do, and how many of them it has
        room for: one at least.

        They are its actions' own, of different customers or in their order. A 2xx answer holds
        for each of them, and so does every other answer but a rejection: that does not tell which
        of them is wrong, so they are sent one by one.
        """


def partner_of(destination: str) -> str:
    """The partner that a destination's name leads to: `webhook` of its endpoint `webhook:5e9d…`."""
    return destination.partition(":")[0]
