"""An event is one call, checked: identify, track, page, screen, group or alias."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from destination.errors import Refused
from destination.support import json_codec
from destination.support.json_codec import Json
from destination.support.text import kind

#: The calls of Segment's spec.
TYPES = ("identify", "track", "page", "screen", "group", "alias")

#: No id is longer: a longer one is a mistake, or an attack on an index.
MAX_ID_LENGTH = 256


@dataclass(frozen=True, kw_only=True)
class Event:
    """One call that was taken in."""

    #: The partner that sent it: "segment".
    source: str
    #: What the source knows it by: the same call twice is one call.
    message_id: str
    #: One of TYPES, or a type that we do not know.
    type: str | None
    #: A track call's event name, as text, for lists and searches.
    name: str | None
    user_id: str | None
    anonymous_id: str | None
    #: When it happened, in seconds since 1970 UTC; None where the call does not say.
    timestamp: float | None
    #: When it arrived here, in seconds since 1970 UTC.
    received_at: float
    #: Which destinations the sender wants it to reach: `{"All": false, "Rehook": true}`.
    integrations: dict[str, Json]
    #: The call itself, which mappings read.
    call: dict[str, Json]
    #: The same as JSON text, which the store keeps.
    text: str

    @property
    def bulk(self) -> bool:
        """Whether it is one of very many, which may wait for everything else."""
        return of_engage(self.call)


def of_engage(call: Mapping[str, Json]) -> bool:
    """Whether a call tells of an audience or a computed trait of Segment's Engage, which sends
    every member at once (`context.personas`).
    """
    context = call.get("context")
    return isinstance(context, dict) and isinstance(context.get("personas"), dict)


class Id(fields.Field[str | None]):
    """Text or a number; blank text, booleans, lists and objects are no ids, and read as none.

    Segment's own destination turns numbers into text, and so do we.
    """

    def _deserialize(self, value: object, *_: object, **__: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        text = str(value)
        problem = problem_of_id(text)
        if problem is None:
            return text
        reason, detail = problem
        if reason == "id_required":
            return None
        raise ValidationError(f"{reason}: {detail}")


def problem_of_id(text: str) -> tuple[str, str] | None:
    """Why a text cannot name anybody: a reason's code, and what is wrong; None for an id."""
    if not text.strip():
        return "id_required", "must not be blank"
    if len(text) > MAX_ID_LENGTH:
        return "id_too_long", f"has {len(text):,} of {MAX_ID_LENGTH} characters"
    if "\0" in text:
        return "id_invalid", "has a NUL character in it"
    if not json_codec.is_unicode(text):
        return "id_invalid", "has half a surrogate pair in it"
    return None


class CallText(fields.Field[str | None]):
    """Text that a list can show; anything else reads as none."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str | None:
        if not isinstance(value, str):
            return None
        return value.encode(errors="replace").decode().replace("\0", "�")


class Time(fields.Field[float | None]):
    """ISO 8601; what cannot be read as a time reads as none. Without a zone, it is UTC."""

    def _deserialize(self, value: object, *_: object, **__: object) -> float | None:
        try:
            return json_codec.seconds(value)
        except ValueError:
            return None


class Object(fields.Field[dict[str, Json]]):
    """An object; anything else reads as an empty one."""

    def _deserialize(self, value: object, *_: object, **__: object) -> dict[str, Json]:
        return value if isinstance(value, dict) else {}


class CallSchema(Schema):
    """What we read of a call ourselves: Segment's common fields. Mappings read the rest."""

    class Meta:
        unknown = EXCLUDE

    type = CallText(load_default=None, allow_none=True)
    event = CallText(load_default=None, allow_none=True)
    userId = Id(load_default=None, allow_none=True)  # noqa: N815
    anonymousId = Id(load_default=None, allow_none=True)  # noqa: N815
    messageId = Id(load_default=None, allow_none=True)  # noqa: N815
    timestamp = Time(load_default=None, allow_none=True)
    integrations = Object(load_default=dict, allow_none=True)


_schema = CallSchema()


def read_event(
    call: Json, *, source: str, max_bytes: int, received_at: float | None = None
) -> Event:
    """One call, checked. Only what we need ourselves is read: mappings read the rest.

    It arrived just now, unless `received_at` says when, in seconds since 1970 UTC.

    A call without a `messageId` gets one that is derived from what it
    says, so that the sender's retry of it is recognised.

    Raises Refused, with one of `reason.REFUSALS`, for a call that cannot be taken as it stands.
    """
    if not isinstance(call, dict):
        raise Refused("bad_request", f"A call is a JSON object, not {kind(call)}.")
    try:
        text = json_codec.dumps(call)
    except RecursionError as error:
        raise _too_deep() from error
    # A character has at most four bytes: most calls are known to be small without encoding.
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        raise Refused("event_too_large", f"The call has {size:,} bytes; {max_bytes:,} are allowed.")
    if json_codec.is_too_deep(text):
        raise _too_deep()
    try:
        read = _schema.load(call)
    except ValidationError as error:
        name, messages = next(iter(error.messages_dict.items()))
        reason, detail = messages[0].split(": ")
        raise Refused(reason, f"{name} {detail}.") from error
    return Event(
        source=source,
        message_id=read["messageId"] or derived_id(text),
        type=read["type"],
        name=read["event"],
        user_id=read["userId"],
        anonymous_id=read["anonymousId"],
        timestamp=read["timestamp"],
        received_at=time.time() if received_at is None else received_at,
        integrations=read["integrations"] or {},
        call=call,
        text=text,
    )


def message_id(call: object, text: str) -> str:
    """What a call is known by, even one that is refused: its own id where that can be used."""
    try:
        own = Id().deserialize(call.get("messageId")) if isinstance(call, dict) else None
    except ValidationError:
        own = None
    return own or derived_id(text)


def derived_id(text: str) -> str:
    """A message id for a call that brought none, or none that can be used."""
    return "derived-" + hashlib.sha256(text.encode(errors="replace")).hexdigest()[:40]


def _too_deep() -> Refused:
    return Refused("nested_too_deep", f"Nested deeper than {json_codec.MAX_DEPTH} levels.")
