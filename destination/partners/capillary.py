"""Capillary, a loyalty engine: its event notifications bring us what its members did and earned.

It sends them in four wrappers, whole numbers now and then as floats, and again until they are
answered 2xx: `eventId` tells that it is the same. Each becomes a track call about the customer.
"""

from dataclasses import dataclass
from typing import ClassVar

from destination.errors import Refused
from destination.partners.base.credentials import Lock
from destination.partners.base.notices import part, read_notices
from destination.partners.base.partner import Partner
from destination.partners.base.source import EngineSource
from destination.settings.parsers import headers, one_of, text
from destination.settings.tables import PREFIX, setting
from destination.support import json_codec
from destination.support.json_codec import Json

#: Layers that are looked through: three wrappers at most, and the notification in them.
_WRAPPERS = 4


@dataclass(frozen=True, kw_only=True)
class CapillarySettings:
    """What an event notification account at Capillary is configured to send."""

    PREFIX: ClassVar[str] = PREFIX + "CAPILLARY_"

    webhook_user: str = setting(
        "", "The user name of its calls, by Basic auth.", read=text, secret=True
    )
    webhook_password: str = setting(
        "", "The password of its calls, by Basic auth.", read=text, secret=True
    )
    webhook_headers: tuple[tuple[str, str], ...] = setting(
        (),
        "The headers that its calls must carry (its webHookHeaders), comma-separated: AccessToken: "
        "abc, X-Other: def. A comma with no name and colon behind it is part of a value.",
        read=headers,
        secret=True,
    )
    customer: str = setting(
        "externalId",
        "Which of its identifiers is your own id of a customer, and so the userId: externalId, "
        "customerId, mobile or email. A notification without it is discarded.",
        read=one_of("externalId", "customerId", "mobile", "email"),
    )


class Capillary(EngineSource):
    """The source: `POST /webhooks/capillary`."""

    name = "capillary"
    integrations = ("Capillary",)
    credentials = (
        CapillarySettings.PREFIX + "WEBHOOK_USER",
        CapillarySettings.PREFIX + "WEBHOOK_PASSWORD",
        CapillarySettings.PREFIX + "WEBHOOK_HEADERS",
    )
    remedy = (
        "The credentials do not fit. Let the event notification account at Capillary send the "
        f"headers that {CapillarySettings.PREFIX}WEBHOOK_USER, _PASSWORD and _HEADERS name."
    )

    def __init__(self, settings: CapillarySettings) -> None:
        lock = Lock(
            user=settings.webhook_user,
            password=settings.webhook_password,
            headers=settings.webhook_headers,
        )
        super().__init__(lock)
        self._settings = settings

    def calls(self, body: bytes) -> tuple[list[Json | Refused], bool]:
        """One notification, or a list of them; one may be JSON in a text."""
        notices, batch = read_notices(body)
        return [self.call(each) for each in notices], batch

    def call(self, given: Json) -> Json | Refused:
        """A track call: the event's name, its data as properties, and what is told around it."""
        told = _unwrapped(given)
        if told is None:
            detail = "It is no event notification: no eventName in any wrapper that is known."
            return Refused("bad_request", detail, _text(given))
        data = told.get("data")
        properties = data if isinstance(data, dict) else {}
        around = ("eventId", "refId", "apiRequestId", "orgId", "loyaltyEventId", "eventLogId")
        call: dict[str, Json] = {
            "type": "track",
            "event": told["eventName"],
            "userId": self._customer(properties.get("customerIdentifiers")),
            "properties": properties,
            "context": {"capillary": {key: told[key] for key in around if key in told}},
        }
        if told.get("eventId"):
            call["messageId"] = told["eventId"]
        if (moment := _moment(told.get("createdAt"))) is not None:
            call["timestamp"] = moment
        return call

    def _customer(self, identifiers: Json) -> Json:
        """The customer's id; None where the notification does not name it."""
        name = self._settings.customer
        known = part(identifiers, name)
        return known if known is not None else part(identifiers, "instore", name)


def _unwrapped(given: Json) -> dict[str, Json] | None:
    """A notification without its wrapper; None where none is in it.

    The wrappers: none; `{"eventId", "eventType", "attributes": {…}}`; `{"data": {…}}`;
    `{"event": {"body": …}}`.
    """
    around: dict[str, Json] = {}
    for _ in range(_WRAPPERS):
        if isinstance(given, str):
            given = _parsed(given)
        if not isinstance(given, dict):
            return None
        name = given.get("eventName")
        if isinstance(name, str) and name.strip():
            return {**around, **given}
        inner = given.get("attributes")
        if isinstance(inner, dict):
            around = {"eventId": given.get("eventId"), **_event_name(given), **around}
            if "eventName" not in inner and "eventName" in around:
                return {**around, **inner}
            given = inner
        elif isinstance(event := given.get("event"), dict):
            given = event.get("body")
        else:
            if "eventId" in given:
                around = {"eventId": given["eventId"], **around}
            given = given.get("data")
    return None


def _event_name(given: dict[str, Json]) -> dict[str, Json]:
    """The event's name out of `eventType`: `50074_pointsIssued`, or bare."""
    kind = given.get("eventType")
    if not isinstance(kind, str) or not kind.strip():
        return {}
    number, _, name = kind.partition("_")
    return {"eventName": name if number.isdigit() and name else kind}


def _parsed(text: str) -> Json:
    try:
        return json_codec.loads(text)
    except ValueError:
        return None


def _moment(milliseconds: Json) -> str | None:
    """When it happened, from milliseconds since 1970; None where that is no time."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return json_codec.moment(milliseconds / 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _text(given: Json) -> str:
    try:
        return json_codec.dumps(given)
    except (RecursionError, ValueError):
        return ""


PARTNER = Partner(settings=CapillarySettings, source=Capillary)
