"""Event notifications: whoever subscribed to an event's name is told of it by a webhook.

What a notification looks like is Capillary's; it is signed as Standard Webhooks
(standardwebhooks.com) says. Each active account is a destination by itself, `webhook:<id>`: its
lanes, pace and holds are its own, and its outage touches no other.
"""

import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, cast
from urllib.parse import urlsplit, urlunsplit

from destination.model.delivery import Discard, Notification
from destination.model.event import Event
from destination.model.request import Request
from destination.outbound.ssrf_guard import Guard
from destination.partners.base.destination import Action, Destination, EndpointPayload
from destination.partners.base.fields import ActionFields, CustomerField, IdField, ObjectField
from destination.partners.webhook.catalogue import catalogue, misfit
from destination.partners.webhook.signing import signature_headers
from destination.settings.parsers import count, switch
from destination.settings.tables import PREFIX, Pacing, setting
from destination.support import json_codec
from destination.support.json_codec import Json

#: Seconds for which a notification is tried: Capillary's "at least 7 days".
HORIZON = 7 * 24 * 3600.0

#: How an account may be told. Capillary's newer pages have all four; its older ones POST alone.
METHODS = ("POST", "PUT", "GET", "DELETE")

#: From these, and the name of source and mapping, a notification's id is made.
_IDS = uuid.UUID("1f0c5a6e-3c55-5f0b-9a53-0b6a6f2f4c11")

#: Headers that would change how a request is read, or that are ours.
_NOT_THEIRS = {
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}

#: Headers that an account may set in place of ours, as we spell them.
_THEIRS = {"content-type": "Content-Type", "user-agent": "User-Agent"}


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(Pacing):
    """How subscribers may be reached."""

    PREFIX: ClassVar[str] = PREFIX + "WEBHOOK_"

    org_id: int = setting(
        0,
        "Your organisation's number, which stands in a notification as orgId and begins its refId; "
        "0: none.",
        read=count(0, 2**31 - 1),
    )
    allow_private: bool = setting(
        False,
        "Whether a subscriber may be in a private network, or on this machine (yes or no).",
        read=switch,
    )
    allow_http: bool = setting(
        False, "Whether a subscriber may be reached without TLS (yes or no).", read=switch
    )

    @property
    def guard(self) -> Guard:
        return Guard(allow_private=self.allow_private, allow_http=self.allow_http)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody who subscribed, as far as deliveries are concerned."""

    #: 24 hexadecimal digits.
    id: str
    name: str
    event_names: tuple[str, ...]
    url: str
    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    #: How many requests may be under way to it.
    connections: int
    #: `whsec_` and what signs, in Base64; the old one signs too, until then (seconds since 1970).
    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)
    old_secret_until: float | None = None

    def signing(self, now: float) -> list[str]:
        """The secrets that sign at a moment, in seconds since 1970 UTC."""
        replaced = self.old_secret and now < (self.old_secret_until or 0.0)
        return [self.secret, *([self.old_secret] if self.old_secret and replaced else [])]


class NotifyFields(ActionFields):
    eventName = IdField(  # noqa: N815 - as it is sent
        "Event Name",
        "The event's name, by which subscribers choose",
        default="$.event",
        required=True,
    )
    customer = CustomerField(
        "Customer", "Whom it is about: one customer's notifications arrive in order"
    )
    refId = IdField(  # noqa: N815
        "Reference ID", "What it is about, such as a transaction's id", default="$.messageId"
    )
    apiRequestId = IdField(  # noqa: N815
        "Request ID", "The call that caused it", default="$.messageId"
    )
    data = ObjectField("Data", "What there is to tell", default="$.properties")


class Webhook(Destination):
    """All subscribers together, as mapping files name them."""

    name = "webhook"
    label = "Event Notifications"
    horizon = HORIZON

    def __init__(self, settings: WebhookSettings) -> None:
        notify = Action(
            name="notify",
            label="Notify",
            description="Tell whoever subscribed to the event's name",
            fields=NotifyFields(),
            requests=partial(_requests, "POST", ""),
            rule=_discard_misfit,
            fan_out=self._fan_out,
        )
        # No address: it stands for those of the subscribers.
        super().__init__(url="webhook:*", pacing=settings, actions=[notify])
        self.settings = settings
        self.guard = settings.guard
        #: The endpoints that get an event, by its name. None until subscribers are known, as in
        #: a preview: then it is shown for all of them together.
        self._endpoints: Mapping[str, Sequence[str]] | None = None

    def subscribe(self, accounts: Iterable[Account]) -> None:
        """Tell these accounts from now on, and no others."""
        endpoints: dict[str, list[str]] = {}
        for account in accounts:
            for event_name in account.event_names:
                endpoints.setdefault(event_name, []).append(endpoint(account.id))
        self._endpoints = endpoints

    def _fan_out(
        self, payload: dict[str, Json], event: Event, mapping: str
    ) -> list[EndpointPayload]:
        known = self._endpoints
        names = [self.name] if known is None else known.get(cast(str, payload["eventName"]), ())
        return [self._payload_for(name, payload, event, mapping) for name in names]

    def _payload_for(
        self, name: str, payload: dict[str, Json], event: Event, mapping: str
    ) -> EndpointPayload:
        key = json_codec.dumps([event.source, event.message_id, mapping, name])
        reference = cast(str, payload.get("refId") or event.message_id)
        notification = Notification(
            id=str(uuid.uuid5(_IDS, key)),
            request_id=cast(str, payload.get("apiRequestId") or event.message_id),
            ref_id=f"{self.settings.org_id}_{reference}" if self.settings.org_id else reference,
            name=cast(str, payload["eventName"]),
        )
        moment = event.timestamp if event.timestamp is not None else time.time()
        body = {
            "eventName": notification.name,
            "eventId": notification.id,
            **({"orgId": self.settings.org_id} if self.settings.org_id else {}),
            "refId": notification.ref_id,
            "apiRequestId": notification.request_id,
            "createdAt": int(moment * 1000),
            **_body(notification.name, int(moment * 1000), _data(payload)),
        }
        return EndpointPayload(endpoint=name, payload=body, notification=notification)


class Subscriber(Destination):
    """One account, as a destination. Only a notification tries its credentials."""

    integration = Webhook.label
    horizon = HORIZON

    def __init__(self, account: Account, partner: Webhook) -> None:
        parts = urlsplit(account.url)
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        requests = partial(_requests, account.method, path, account=account)
        concurrency = min(account.connections, partner.settings.concurrency)
        super().__init__(
            url=f"{parts.scheme}://{parts.netloc}",
            pacing=replace(partner.settings, concurrency=concurrency),
            actions=[replace(action, requests=requests) for action in partner.actions.values()],
        )
        self.name = endpoint(account.id)
        self.label = account.name
        self.account = account
        self.connections = account.connections
        self.guard = partner.guard

    def headers(self) -> Mapping[str, str]:
        return {_THEIRS.get(name.lower(), name): value for name, value in self.account.headers}


def endpoint(account_id: str) -> str:
    """The name of an account as a destination."""
    return f"{Webhook.name}:{account_id}"


def problem_of_header(name: str, value: str) -> str | None:
    """Why an account's header cannot be sent; None where it can. The value is never repeated."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name):
        return "a header's name has letters, digits and - only"
    if name.lower() in _NOT_THEIRS or name.lower().startswith("proxy-"):
        return f"{name} is set by the sender"
    if len(value) > 4000 or not re.fullmatch(r"([!-~]([ -~]*[!-~])?)?", value):
        return f"the value of {name} must be printable ASCII, without blanks around it"
    return None


def _requests(
    method: str, path: str, payload: dict[str, Json], account: Account | None = None
) -> Sequence[Request]:
    body = json_codec.dumps(payload)

    def signed(now: float) -> Mapping[str, str]:
        signing = account.signing(now) if account else []
        return signature_headers(
            signing, message_id=cast(str, payload["eventId"]), timestamp=int(now), body=body
        )

    # A repeated notification has the same eventId, by which the subscriber ignores it.
    return [Request(method=method, path=path, body=body, idempotent=True, sign=signed)]


def _discard_misfit(payload: dict[str, Json]) -> Discard | None:
    if problem := misfit(cast(str, payload["eventName"]), _data(payload)):
        detail = f"{payload['eventName']}: {problem}, as the catalogue of events says."
        return Discard(reason="payload_validation_failed", detail=detail)
    return None


def _data(payload: dict[str, Json]) -> dict[str, Json]:
    """What is told; whom it is about stands where Capillary has your own id of a customer."""
    identifiers: Json = {"instore": {"externalId": payload["customer"]}}
    return {"customerIdentifiers": identifiers, **cast(dict[str, Json], payload.get("data", {}))}


def _body(name: str, moment: int, data: dict[str, Json]) -> dict[str, Json]:
    event = catalogue().get(name)
    if event is None or not event.behaviour:
        return {"data": data}
    return {
        "ingestionTimestamp": moment,
        "name": name,
        "description": event.description,
        "attributes": data,
    }
