"""Rehook as a destination: customers by `POST /customers`, awards by `POST /events/invoke`.

What it expects is stated in its API reference (docs.rehook.ai) and in Segment's own destination
for it, whose requests ours equal byte for byte.
"""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote

from destination.model.delivery import Discard
from destination.model.request import Request
from destination.model.verdict import Exchange
from destination.partners.base.credentials import basic
from destination.partners.base.destination import Action, Destination
from destination.partners.base.fields import ActionFields, CustomerField, ObjectField, TextField
from destination.partners.rehook.settings import RehookSettings
from destination.support import json_codec
from destination.support.json_codec import Json

_SOURCE_ID = CustomerField("Source ID", "The unique user identifier set by you")


class IdentifyUserFields(ActionFields):
    source_id = _SOURCE_ID
    metadata = ObjectField(
        "User Metadata", "Properties to set on the user profile", default="$.traits"
    )
    referral_code = TextField(
        "Referral Code",
        "The referral code of the user",
        default="$.traits.referral_code",
        allow_none=True,
    )


class TrackEventFields(ActionFields):
    awards = True

    event_name = TextField(
        "Event Name",
        "The name of the event being performed",
        default={"@if": {"exists": "$.event", "then": "$.event", "else": "$.type"}},
        required=True,
    )
    source_id = _SOURCE_ID
    metadata = ObjectField(
        "Event Properties", "Properties to send along with the event", default="$.properties"
    )


class Rehook(Destination):
    """The destination. Its requests carry Basic auth: the API key and the secret key."""

    name = "rehook"
    label = "Rehook"
    #: It is in use without them: what is sent to it waits until its keys are set.
    credentials = (RehookSettings.PREFIX + "API_KEY", RehookSettings.PREFIX + "API_SECRET")

    def __init__(self, settings: RehookSettings) -> None:
        identify_user = Action(
            name="identifyUser",
            label="Identify User",
            description="Create or update the customer in Rehook",
            trigger='type = "identify"',
            fields=IdentifyUserFields(),
            code="referral_code",
            traits="metadata",
            requests=self._identify,
        )
        track_event = Action(
            name="trackEvent",
            label="Track Event",
            description="Send the event to Rehook, whose rules then award what it earns",
            fields=TrackEventFields(),
            requests=self._track,
            rule=self._code_required,
            used_code=self._used_code,
        )
        super().__init__(url=settings.url, pacing=settings, actions=[identify_user, track_event])
        self._settings = settings

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": basic(self._settings.api_key, self._settings.api_secret)}

    def check(self) -> Request:
        """The request by which Segment's own destination tests the credentials."""
        return Request(method="GET", path="/events/segment/check-auth", idempotent=True)

    def _identify(self, payload: dict[str, Json]) -> Sequence[Request]:
        send = Request(
            method="POST", path="/customers", body=json_codec.dumps(payload), idempotent=True
        )
        code = payload.get("referral_code")
        if not (self._settings.validate_codes and code):
            return [send]
        return [_look_up(cast(str, code), cast(str, payload["source_id"])), send]

    def _track(self, payload: dict[str, Json]) -> Sequence[Request]:
        # Rehook documents no idempotency key: the same event sent twice is awarded twice.
        body = json_codec.dumps(payload)
        return [Request(method="POST", path="/events/invoke", body=body, idempotent=False)]

    def _code_required(self, payload: dict[str, Json]) -> Discard | None:
        """Segment's page on this destination: "The referral_code field is required if event
        name is set as a conversion event in Rehook." An empty one is a direct sign-up.
        """
        name = payload["event_name"]
        if name not in self._settings.conversion_events:
            return None
        if "referral_code" in _metadata(payload):
            return None
        detail = (
            f"{name} is a conversion event: its properties need a referral_code, "
            "which may be empty for a direct sign-up."
        )
        return Discard(reason="referral_code_required", detail=detail)

    def _used_code(self, payload: dict[str, Json]) -> str | None:
        """The advocate's code of a conversion event. What is no text or number is nobody's."""
        if payload["event_name"] not in self._settings.conversion_events:
            return None
        code = _metadata(payload).get("referral_code")
        return str(code) if isinstance(code, str | int | float) and code != "" else None


def _metadata(payload: dict[str, Json]) -> dict[str, Json]:
    return cast(dict[str, Json], payload.get("metadata", {}))


def _look_up(code: str, customer: str) -> Request:
    def objection(answer: Exchange) -> str | None:
        if answer.status == 404:
            return None  # nobody's yet
        try:
            owner = json_codec.load_object(answer.answer)["source_id"]
        except (ValueError, KeyError):
            return None  # no owner that could be compared: Rehook itself decides
        return None if owner == customer else "referral_code_taken"

    return Request(
        method="GET",
        path="/customers/validate-code/" + quote(code, safe="", errors="replace"),
        idempotent=True,
        objection=objection,
    )
