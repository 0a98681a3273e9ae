"""A partner is a company whose API we talk with: a source, a destination, or both.

A partner's file, or folder, holds what is particular to it: addresses, credentials, signatures,
actions and their fields, its own settings. Receiving, routing, storing, sending and retrying
are written once, elsewhere. `docs/partners.md` shows how to add one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, runtime_checkable

from destination.errors import Refused
from destination.model.delivery import Confirmation, Discard, Notification
from destination.model.event import Event
from destination.model.request import Request
from destination.outbound.ssrf_guard import Guard
from destination.partners.base.fields import ActionFields
from destination.settings.tables import Environment, Pacing, Table
from destination.support.json_codec import Json


@dataclass(frozen=True, kw_only=True)
class EndpointPayload:
    """What one endpoint of a destination gets of a payload."""

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
    #: The trigger that a new mapping begins with.
    trigger: str
    #: The fields to send, each declared once: label, description, type, required, default.
    fields: ActionFields
    #: The field that names the customer: deliveries of one customer leave in order.
    customer: str
    #: What to send for a payload, in order: the last request does the work, those before
    #: it ask whether it may be done.
    requests: Callable[[dict[str, Json]], Sequence[Request]]
    #: The field that brings a referral code of the customer's own, if there is one.
    code: str | None = None
    #: The referral code with which a payload signs its customer up, or None.
    used_code: Callable[[dict[str, Json]], str | None] | None = None
    #: The field whose keys are the customer's traits, if there is one: each sending sets those
    #: that it has, and leaves the others as they were.
    traits: str | None = None
    #: A rule of the partner's that drops a payload: the reason, or None.
    rule: Callable[[dict[str, Json]], Discard | None] | None = None
    #: Who gets a payload that a mapping, given by its name, made of an event: for a destination
    #: with endpoints of its own. None: the destination itself gets it, as it is.
    fan_out: Callable[[dict[str, Json], Event, str], Sequence[EndpointPayload]] | None = None


class Destination(Protocol):
    """Receives our deliveries. It can be pickled: some are sent by a process of their own."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def url(self) -> str:
        """Where it is: `https://api.rehook.ai`."""

    @property
    def pacing(self) -> Pacing:
        """How fast it may be sent to."""

    @property
    def connections(self) -> int | None:
        """How many requests it bears at once, from all workers together; None: each worker has
        its own bound.
        """

    @property
    def horizon(self) -> float | None:
        """Seconds from its first attempt for which a delivery is tried again; None: as the
        service's own setting says.
        """

    @property
    def guard(self) -> Guard | None:
        """Where it may be, where its address is a stranger's; None: wherever its setting says."""

    @property
    def integration(self) -> str:
        """Its key in a call's `integrations` object."""

    @property
    def actions(self) -> Mapping[str, Action]:
        """What it can do, by name."""

    @property
    def credentials(self) -> Sequence[str]:
        """The settings that hold its credentials."""

    @property
    def in_use(self) -> bool:
        """Whether it is delivered to: mappings to one that is not are not in force."""

    def headers(self) -> Mapping[str, str]:
        """What every request carries: its credentials."""

    def check(self) -> Request | None:
        """A request that shows whether the credentials are accepted, and changes nothing; None
        where there is nothing to check them with.
        """


@runtime_checkable
class Batching(Destination, Protocol):
    """A destination that takes many deliveries in one request."""

    def batch(self, requests: Sequence[Request]) -> tuple[Request, int]:
        """One request that does what the first of `requests` do, and how many of them it has
        room for: one at least.

        They are its actions' own, of different customers or in their order. A 2xx answer holds
        for each of them. So does every other, but for one that rejects: it does not tell which
        of them is wrong, so they are sent one by one.
        """


def partner_of(destination: str) -> str:
    """The partner that a destination's name leads to: `webhook` of its endpoint `webhook:5e9d…`."""
    return destination.partition(":")[0]


class Source(Protocol):
    """Sends us webhooks."""

    @property
    def name(self) -> str: ...

    @property
    def credentials(self) -> Sequence[str]:
        """The settings that keep strangers out; one of them is enough."""

    @property
    def protected(self) -> bool:
        """Whether anything but our address keeps strangers out."""

    @property
    def warnings(self) -> Sequence[str]:
        """What an operator should know at the start."""

    @property
    def integrations(self) -> Sequence[str]:
        """The keys of a call's `integrations` object that mean this way in."""

    def authenticate(self, headers: Mapping[str, str], body: bytes, /) -> None:
        """Raises Unauthorized, with a message that says what to set. Header names are spelt
        `Like-This`. A `?token=` in the address stands in Authorization, as a Bearer token.
        """

    def vouch(self, body: bytes, /) -> Mapping[str, str]:
        """The headers by which a request shows that it comes from the source."""

    def rule(self, event: Event, /) -> Discard | None:
        """A rule of the source's that drops an event: the reason, or None."""

    def confirms(self, event: Event, /) -> Confirmation | None:
        """What an event of the source's shows to have been processed there."""

    def calls(self, body: bytes) -> tuple[list[Json | Refused], bool]:
        """The calls in a body, each read by itself, and whether it was a batch.

        Raises Refused when the body as a whole cannot be read.
        """


def _modules() -> dict[str, Any]:
    """Every partner, by name: a module or a folder in this folder that offers `SETTINGS`, a table,
    and `source` or `destination` or both: what makes the one or the other of that table.
    """
    found = {each.name: import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)}
    return {name: found[name] for name in sorted(found) if hasattr(found[name], "SETTINGS")}


def names() -> list[str]:
    """The names of all partners."""
    return list(_modules())


def tables() -> list[type[Table]]:
    """The settings of every partner."""
    return [module.SETTINGS for module in _modules().values()]


def sources(environment: Environment) -> dict[str, Source]:
    """Every partner that sends us webhooks, by name, with its settings read."""
    return {
        name: module.source(environment.read(module.SETTINGS))
        for name, module in _modules().items()
        if hasattr(module, "source")
    }


def destinations(environment: Environment) -> dict[str, Destination]:
    """Every partner that receives our deliveries, by name, with its settings read."""
    return {
        name: module.destination(environment.read(module.SETTINGS))
        for name, module in _modules().items()
        if hasattr(module, "destination")
    }
