"""Segment as a destination: rewards go to its Tracking API, as track and identify calls.

The API answers 200 for calls that it drops afterwards. So what it checks is checked here, before
anything is sent: a user, a name, a time, a size.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from marshmallow import ValidationError

from destination.model.delivery import Discard
from destination.model.request import Request
from destination.partners.base.credentials import basic
from destination.partners.base.destination import Action, Batching
from destination.partners.base.fields import (
    ActionFields,
    CustomerField,
    ObjectField,
    TextField,
    TimeField,
)
from destination.partners.segment.settings import SegmentSettings
from destination.support import json_codec
from destination.support.json_codec import Json

#: Where the Tracking API is, by region.
REGIONS = {"us": "https://api.segment.io", "eu": "https://events.eu1.segmentapis.com"}

#: The largest call and the largest batch that the API takes, and how many calls in one.
MAX_CALL_BYTES = 32 * 1024
MAX_BATCH_BYTES = 500 * 1024
MAX_BATCH_CALLS = 2500

#: What every call that we send has in its context: by it we know it again.
MARK = {"name": "loyalty-destination"}

_BATCH = '{"batch":[', "]}"


def carries_our_mark(call: Mapping[str, Json]) -> bool:
    """Whether we sent the call to Segment ourselves."""
    context = call.get("context")
    return isinstance(context, dict) and context.get("integration") == MARK


_USER_ID = CustomerField("User ID", "The user's id in Segment, which is the engine's customer")
_TIMESTAMP = TimeField(
    "Timestamp",
    "When it happened; without one, Segment takes the time of its arrival",
    default="$.timestamp",
)
_MESSAGE_ID = TextField(
    "Message ID",
    "What tells this event from others: the id under which Segment gets it "
    "is made of this and of the other fields",
    default="$.messageId",
    required=True,
)


def _not_blank(name: str) -> None:
    if not name.strip():
        raise ValidationError("must not be blank")


class TrackFields(ActionFields):
    user_id = _USER_ID
    event = TextField(
        "Event Name",
        "The name of the event in Segment",
        default="$.event",
        required=True,
        validate=_not_blank,
    )
    properties = ObjectField("Properties", "What the event tells", default="$.properties")
    timestamp = _TIMESTAMP
    message_id = _MESSAGE_ID


class IdentifyFields(ActionFields):
    user_id = _USER_ID
    traits = ObjectField(
        "Traits", "What is to be kept of the user", default="$.properties", required=True
    )
    timestamp = _TIMESTAMP
    message_id = _MESSAGE_ID


class Tracking(Batching):
    """The destination. Its requests carry Basic auth: the write key, and no password.

    Nothing checks the key: the API answers 200 to any.
    """

    name = "segment"
    label = "Segment"
    credentials = (SegmentSettings.PREFIX + "TRACKING_KEY",)

    def __init__(self, settings: SegmentSettings) -> None:
        track = Action(
            name="track",
            label="Track",
            description="Tell Segment what a member earned or did",
            fields=TrackFields(),
            requests=partial(self._requests, "track", ("event", "properties")),
            rule=partial(self._too_large, "track", ("event", "properties")),
        )
        identify = Action(
            name="identify",
            label="Identify",
            description="Keep traits of a member in Segment",
            fields=IdentifyFields(),
            requests=partial(self._requests, "identify", ("traits",)),
            rule=partial(self._too_large, "identify", ("traits",)),
        )
        super().__init__(
            url=settings.tracking_url or REGIONS[settings.region],
            pacing=settings,
            actions=[track, identify],
        )
        self.in_use = bool(settings.tracking_key)
        self._key = settings.tracking_key
        self._integrations = {"All": True, **dict.fromkeys(settings.tracking_except, False)}

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": basic(self._key, "")}

    def batch(self, requests: Sequence[Request]) -> tuple[Request, int]:
        """As many calls as `/v1/batch` takes. Each has its type and its id in it already."""
        size = sum(map(len, _BATCH))
        taken: list[str] = []
        for request in requests[:MAX_BATCH_CALLS]:
            call = request.body or ""
            size += len(call.encode()) + 1
            if taken and size > MAX_BATCH_BYTES:
                break
            taken.append(call)
        body = ",".join(taken).join(_BATCH)
        return Request(method="POST", path="/v1/batch", body=body, idempotent=True), len(taken)

    def _requests(
        self, kind: str, content: Sequence[str], payload: dict[str, Json]
    ) -> Sequence[Request]:
        body = self._body(kind, payload, content)
        # Segment drops a messageId that it has seen: a call sent twice is one.
        return [Request(method="POST", path=f"/v1/{kind}", body=body, idempotent=True)]

    def _too_large(
        self, kind: str, content: Sequence[str], payload: dict[str, Json]
    ) -> Discard | None:
        size = len(self._body(kind, payload, content).encode())
        if size <= MAX_CALL_BYTES:
            return None
        detail = f"The call has {size:,} bytes; Segment takes {MAX_CALL_BYTES:,}. Send less."
        return Discard(reason="payload_validation_failed", detail=detail)

    def _body(self, kind: str, payload: dict[str, Json], content: Sequence[str]) -> str:
        call = {
            "type": kind,
            "userId": payload["user_id"],
            **{name: payload[name] for name in content if name in payload},
            **{name: payload[name] for name in ("timestamp",) if name in payload},
            "messageId": _message_id(kind, payload),
            "context": {"integration": MARK},
            "integrations": self._integrations,
        }
        return json_codec.dumps(call)


def _message_id(kind: str, payload: dict[str, Json]) -> str:
    """The same for the same payload, however often it is sent, and for no other: two mappings
    may make two calls of one event.
    """
    text = f"{kind} {json_codec.dumps(payload)}"
    return "loyalty-" + hashlib.sha256(text.encode()).hexdigest()[:40]
