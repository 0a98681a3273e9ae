"""Rehook as a source: its reward webhooks, each a track event of the member whom it is about.

Rehook's page on them documents neither a signature, nor an id, a time or an order of the calls:
what identifies a call is found in it. `docs/partners.md` says what is read how.
"""

import re
import time
from collections.abc import Callable

from destination.errors import Refused
from destination.model.delivery import Confirmation, Discard
from destination.model.event import Event, derived_id, problem_of_id
from destination.partners.base.credentials import Lock
from destination.partners.base.notices import first_date, part
from destination.partners.base.source import EngineSource
from destination.partners.rehook.settings import RehookSettings
from destination.support import json_codec
from destination.support.json_codec import Json

#: Whose payload is Rehook's own. That of every other event is what an app sent with it.
_OWN_EVENTS = ("customer.", "coupon.", "wallet.")

#: What identifies a call, beside its event: the first of these that is there.
_IDS = (("reward", "redemption_id"), ("RedemptionId",), ("wallet", "transaction_id"))

#: When it happened: the first of these that is a date.
_DATES = (("reward", "redemption_date"), ("wallet", "created_at"))

#: The zero date of the language that Rehook is written in: no date.
_ZERO_DATE = "0001-01-01T00:00:00Z"

#: A date with more than milliseconds: JavaScript and Segment know no finer ones.
_FINE_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\d+(Z|[+-]\d\d:\d\d)")


class RehookWebhook(EngineSource):
    """The source: `POST /webhooks/rehook`."""

    name = "rehook"
    credentials = (
        RehookSettings.PREFIX + "WEBHOOK_USER",
        RehookSettings.PREFIX + "WEBHOOK_PASSWORD",
        RehookSettings.PREFIX + "WEBHOOK_HEADERS",
    )
    remedy = (
        "The credentials do not fit. Enter the same Basic authorization and headers in Rehook's "
        f"webhook configuration as in {RehookSettings.PREFIX}WEBHOOK_USER, _PASSWORD and _HEADERS."
    )

    def __init__(self, settings: RehookSettings, clock: Callable[[], float] = time.time) -> None:
        lock = Lock(
            user=settings.webhook_user,
            password=settings.webhook_password,
            headers=settings.webhook_headers,
        )
        super().__init__(lock, clock)
        self._wanted = frozenset(map(_one_spelling, settings.webhook_events))

    def rule(self, event: Event) -> Discard | None:
        if not self._wanted or event.name in self._wanted:
            return None
        detail = f"{RehookSettings.PREFIX}WEBHOOK_EVENTS does not name {event.name}."
        return Discard(reason="event_not_wanted", detail=detail)

    def confirms(self, event: Event) -> Confirmation | None:
        """An app's own event is told with the properties that were sent: then Rehook has
        processed it. Without properties, nothing would tell it from another one.
        """
        properties = event.call["properties"]
        if not (event.name and event.user_id and properties) or event.name.startswith(_OWN_EVENTS):
            return None
        fields: dict[str, Json] = {
            "event_name": event.name,
            "source_id": event.user_id,
            "metadata": properties,
        }
        return Confirmation(destination=self.name, customer=event.user_id, fields=fields)

    def calls(self, body: bytes) -> tuple[list[Json | Refused], bool]:
        """A body that names no event comes from Rehook's Test button, whose body is not documented:
        it is no call, and neither is an empty body.
        """
        calls, batch = super().calls(body)
        if batch or (isinstance(calls[0], dict) and calls[0].get("event") is not None):
            return calls, batch
        return [], True

    def call(self, notice: dict[str, Json]) -> Json:
        """`{"event_name", "source_id", "metadata"}` as a call of Segment's spec."""
        event = _one_spelling(notice.get("event_name"))
        own = event if isinstance(event, str) and event.startswith(_OWN_EVENTS) else ""
        metadata = notice.get("metadata")
        properties = metadata if isinstance(metadata, dict) else {}
        if own:
            no_answer = own.startswith("customer.referral.")
            properties = {
                key: _cleaned(value, no_answer=no_answer) for key, value in properties.items()
            }
        if event == "customer.rewarded":
            # Rehook has paid, where the reward is a transaction of its wallet.
            payout = "engine" if part(properties, "wallet", "transaction_id") else "you"
            properties = {**properties, "payout": payout}
        ids = [f"{event}:{known}" for path in _IDS if (known := part(properties, *path))]
        known_by = [each for each in ids if own and problem_of_id(each) is None]
        dates = (part(properties, *path) for path in _DATES if own)
        now = self.now()
        happened = first_date(*dates) or now
        # What has no id may truly happen again: the same order, a segment that is entered again.
        derived = derived_id(f"{happened[:10]} {json_codec.dumps(notice)}")
        return {
            "type": "track",
            "event": event,
            "userId": notice.get("source_id"),
            "messageId": known_by[0] if known_by else derived,
            "timestamp": happened,
            "receivedAt": now,
            "properties": properties,
        }


def _one_spelling(event: Json) -> Json:
    """Rehook's page says `customer.referral.successful`, and its samples `successfull`."""
    if isinstance(event, str):
        return event.replace("referral.successfull.", "referral.successful.")
    return event


def _cleaned(value: Json, *, no_answer: bool) -> Json:
    """Without zero dates, and dates no finer than milliseconds; with `no_answer`, "NA" is none."""
    if isinstance(value, dict):
        return {key: _cleaned(each, no_answer=no_answer) for key, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(each, no_answer=no_answer) for each in value]
    if not isinstance(value, str):
        return value
    if value == _ZERO_DATE or (no_answer and value == "NA"):
        return None
    return _FINE_DATE.sub(r"\1\2", value) if _FINE_DATE.fullmatch(value) else value
