"""Segment as a source: its webhooks and its Tracking API bring us calls.

Webhooks (Actions) signs with `X-Signature`, the hex HMAC-SHA1 of the body, or of only the first
event of a batch: so the rest of a batch needs a second credential.
"""

import hashlib
import hmac
import itertools
import re
import uuid
from collections.abc import Mapping

from destination.errors import Refused, Unauthorized
from destination.model.delivery import Discard
from destination.model.event import Event
from destination.partners.base.body import Body
from destination.partners.base.credentials import basic_or_bearer, fits
from destination.partners.base.source import Source
from destination.partners.segment.destination import carries_our_mark
from destination.partners.segment.settings import SegmentSettings
from destination.support import json_codec
from destination.support.json_codec import Json

#: What may stand around a batch, for all of its calls.
_SHARED = ("context", "integrations")

#: Bytes of a body in which a write key is looked for: phones send no more at once. And how many
#: keys are looked at: each call of a batch may have one.
LARGEST_UNKNOWN, MOST_KEYS = 512 * 1024, 10
_WRITE_KEY = re.compile(rb'"writeKey"\s*:\s*"([^"\\]{1,200})"')

#: Bytes that stand around a batch's first call, at most: `[{"json":…}` with blanks.
WRAPPER = 64

#: How many times as long as a call may be is looked for the first one, which may be too large.
FIRST = 4

_NOT_UTF8 = ValueError("it is not UTF-8 text")


class Segment(Source):
    """The source: `POST /webhooks/segment`, and the Tracking API below `/v1`."""

    name = "segment"
    #: The names under which Segment's catalogue has the destinations that call a webhook.
    integrations = ("Webhooks (Actions)", "Webhook", "Webhooks", "Extensible Webhook")
    credentials = (SegmentSettings.PREFIX + "SHARED_SECRET", SegmentSettings.PREFIX + "WRITE_KEYS")

    def __init__(self, settings: SegmentSettings) -> None:
        self._settings = settings
        self._secrets = [secret.encode() for secret in settings.shared_secret]
        self._keys = [key.encode() for key in settings.write_keys]
        self.protected = bool(self._secrets or self._keys)
        if settings.accept_unsigned:
            self.warnings = (
                f"{SegmentSettings.PREFIX}ACCEPT_UNSIGNED is yes: the unsigned rest of a batch is "
                "accepted from anybody who can send a signed first event.",
            )

    def authenticate(self, headers: Mapping[str, str], body: Body) -> None:
        """Raises Unauthorized unless the body is signed, or a write key vouches for it."""
        if self._secrets:
            self._check_signature(headers, body)
        elif not self.accepts_key(basic_or_bearer(headers)):
            raise Unauthorized(
                "Send an accepted write key in the Authorization header, or set "
                f"{SegmentSettings.PREFIX}SHARED_SECRET to the webhook's shared secret."
            )

    def is_known(self, headers: Mapping[str, str]) -> bool:
        signed = bool(self._secrets) and "X-Signature" in headers
        return signed or self.accepts_key(basic_or_bearer(headers))

    def vouch(self, body: bytes) -> Mapping[str, str]:
        headers = {}
        for secret in self._secrets[:1]:
            headers["X-Signature"] = hmac.new(secret, body, hashlib.sha1).hexdigest()
        for key in self._settings.write_keys[:1]:
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def rule(self, event: Event) -> Discard | None:
        """What we sent to Segment may not come round again: it would be rewarded once more."""
        if not carries_our_mark(event.call):
            return None
        detail = "It carries our own mark: it was sent to Segment from here, and came round again."
        return Discard(reason="loop", detail=detail)

    @property
    def accepts_keys(self) -> bool:
        """Whether there are write keys: without one, the Tracking API is closed."""
        return bool(self._keys)

    def accepts_key(self, key: bytes) -> bool:
        """Whether it is one of the write keys."""
        return fits(key, self._keys)

    def calls(self, body: bytes) -> tuple[list[Json | Refused], bool]:
        try:
            return read_calls(body.decode("utf-8-sig"))
        except UnicodeDecodeError:
            # A call that is not UTF-8 harms no other of its batch.
            return _calls_one_by_one(body.decode("utf-8-sig", "surrogateescape"), _NOT_UTF8)

    def authenticate_tracking(self, headers: Mapping[str, str], body: Body) -> None:
        """The Tracking API's write key: in the Authorization header, or in a body that is small.

        Raises Unauthorized.
        """
        key = basic_or_bearer(headers)
        if not (self.accepts_key(key) if key else self._has_key(body)):
            raise Unauthorized(
                "Send a write key by Basic auth, as its user name. The accepted ones are in "
                f"{SegmentSettings.PREFIX}WRITE_KEYS."
            )

    def _has_key(self, body: Body) -> bool:
        """Whether a write key stands in a small body: of the whole, or of a call of a batch. It is
        looked for in the text, for this is before anything is parsed.
        """
        beginning = body.beginning(LARGEST_UNKNOWN + 1)
        found = itertools.islice(_WRITE_KEY.finditer(beginning), MOST_KEYS)
        return len(beginning) <= LARGEST_UNKNOWN and any(self.accepts_key(key[1]) for key in found)

    def tracked(self, body: bytes, kind: str, now: float) -> tuple[list[Json | Refused], bool]:
        """The calls of a request to `/v1/<kind>`, completed as Segment completes them on
        arrival (`now`, in seconds since 1970 UTC): `type`, `messageId`, `receivedAt`, and
        `timestamp` where they are missing.
        """
        calls, batch = self.calls(body)
        moment = json_codec.moment(now)
        for call in calls:
            if isinstance(call, dict):
                call.pop("writeKey", None)  # a credential is not kept
                if not batch:
                    call["type"] = kind
                if not call.get("messageId"):
                    call["messageId"] = str(uuid.uuid4())
                call.setdefault("timestamp", moment)
                call["receivedAt"] = moment
        return calls, batch

    def _check_signature(self, headers: Mapping[str, str], body: Body) -> None:
        given = headers.get("X-Signature", "").strip().lower().encode()
        if not given:
            raise Unauthorized(
                "X-Signature is missing. Enter the shared secret in the settings of the webhook."
            )
        vouched = self.accepts_key(basic_or_bearer(headers))
        if self._signs(given, body.raw):
            return
        # A first call that is too large is discarded for that, and must not cost the others.
        small = body.most if vouched else FIRST * body.largest_call + WRAPPER
        beginning = body.beginning(small + 1)
        if (
            body.gzipped
            and (vouched or len(beginning) <= small)
            and self._signs(given, body.whole())
        ):
            return
        first = json_codec.first_element(beginning.decode("utf-8-sig", "replace"))
        if first is None or not self._signs(given, *_signed_forms(first)):
            raise Unauthorized(
                f"X-Signature does not fit. {SegmentSettings.PREFIX}SHARED_SECRET must be the "
                "shared secret of the webhook, and nothing between may change the body."
            )
        if not (vouched or self._settings.accept_unsigned or _is_alone(first, body)):
            raise Unauthorized(
                "Only the first event of this batch is signed. Let the webhook send a header "
                f"`Authorization: Bearer KEY` with one of {SegmentSettings.PREFIX}WRITE_KEYS, "
                f"or switch batching off, or set {SegmentSettings.PREFIX}ACCEPT_UNSIGNED=yes."
            )

    def _signs(self, given: bytes, *messages: bytes) -> bool:
        fits = [
            hmac.compare_digest(given, hmac.new(secret, message, hashlib.sha1).hexdigest().encode())
            for secret in self._secrets
            for message in messages
        ]
        return any(fits)


def _signed_forms(first: str) -> list[bytes]:
    """The texts that a signature of a batch may be over: its first event, bare or unwrapped."""
    forms = [first.encode()]
    inner = _wrapped_text(first)
    return [*forms, inner.encode()] if inner is not None else forms


def _wrapped_text(element: str) -> str | None:
    """The exact text of X in `{"json": X}`."""
    try:
        members = json_codec.elements(element)
        key, value = json_codec.member(members[0])
    except (ValueError, IndexError):
        return None
    return value if len(members) == 1 and key == "json" else None


def _is_alone(first: str, body: Body) -> bool:
    return body.whole().decode("utf-8-sig", "replace").partition(first)[2].strip() == "]"


def read_calls(text: str) -> tuple[list[Json | Refused], bool]:
    """One call, a list of them, or `{"batch": [...]}`, each by itself, and whether it was a
    batch. A call may be wrapped as `{"json": {...}}`, as Segment's extensible webhook does.

    Raises Refused when the text as a whole cannot be read.
    """
    try:
        value = json_codec.loads(text)
    except ValueError as error:
        return _calls_one_by_one(text, error)
    if isinstance(value, list):
        return [_unwrapped(item) for item in value], True
    if isinstance(value, dict) and "batch" in value and "type" not in value:
        if not isinstance(value["batch"], list):
            raise Refused("bad_request", "The batch is not a list of calls.")
        shared = {key: value[key] for key in _SHARED if key in value}
        return [_merged(shared, _unwrapped(item)) for item in value["batch"]], True
    return [_unwrapped(value)], False


def _calls_one_by_one(text: str, error: ValueError) -> tuple[list[Json | Refused], bool]:
    """A body that cannot be read whole: each call by itself, so that one harms no other."""
    try:
        shared, batch = _batch_text(text)
        return [_merged(shared, _read(element)) for element in json_codec.elements(batch)], True
    except ValueError:
        raise _unreadable("body", error) from error


def _batch_text(text: str) -> tuple[dict[str, Json], str]:
    """What calls share, and the text of their list. Raises ValueError where there is none, or
    where it cannot be told what they share: that may be what keeps them from us.
    """
    if text.lstrip()[:1] == "[":
        return {}, text
    members = dict(map(json_codec.member, json_codec.elements(text)))
    shared = {key: json_codec.loads(members[key]) for key in _SHARED if key in members}
    return shared, "" if "type" in members else members.get("batch", "")


def _read(element: str) -> Json | Refused:
    if not json_codec.is_unicode(element):
        text = element.encode(errors="surrogateescape").decode(errors="replace")
        return _unreadable("call", _NOT_UTF8, text)
    try:
        return _unwrapped(json_codec.loads(element))
    except ValueError as error:
        return _unreadable("call", error, element)


def _unreadable(what: str, error: ValueError, text: str = "") -> Refused:
    reason = "nested_too_deep" if isinstance(error.__cause__, RecursionError) else "bad_request"
    return Refused(reason, f"The {what} cannot be read as JSON: {error}.", text)


def _unwrapped(call: Json) -> Json:
    if isinstance(call, dict) and len(call) == 1 and isinstance(call.get("json"), dict):
        return call["json"]
    return call


def _merged(shared: dict[str, Json], call: Json | Refused) -> Json | Refused:
    """A call of a `{"batch": [...]}` takes on what stands around the batch."""
    if not isinstance(call, dict):
        return call
    around = {key: value for key, value in shared.items() if isinstance(value, dict)}
    inside = {key: each for key, each in call.items() if key in around and isinstance(each, dict)}
    return {**call, **{key: {**around[key], **inside.get(key, {})} for key in around}}
