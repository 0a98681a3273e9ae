"""Reward, a loyalty engine: an event of a user fires one of its custom triggers.

Its documentation has one endpoint, and two webhooks without a signature: it says to keep their
address confidential. So the address has a token in it, which is a setting of ours.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast
from urllib.parse import quote

from destination.model.delivery import Discard
from destination.model.event import message_id
from destination.model.request import Request
from destination.partners.base.credentials import Lock
from destination.partners.base.destination import Action, Destination
from destination.partners.base.fields import (
    ActionFields,
    CustomerField,
    IdField,
    NumberField,
    ObjectField,
)
from destination.partners.base.notices import first_date, part
from destination.partners.base.partner import Partner
from destination.partners.base.source import EngineSource
from destination.settings.parsers import text, web_address
from destination.settings.tables import PREFIX, Pacing, setting
from destination.support import json_codec
from destination.support.json_codec import Json


@dataclass(frozen=True, kw_only=True)
class RewardSettings(Pacing):
    """How to reach Reward, and what its webhooks show."""

    PREFIX: ClassVar[str] = PREFIX + "REWARD_"

    url: str = setting(
        "https://api.rewardplugin.com", "The address of Reward's API.", read=web_address
    )
    api_key: str = setting(
        "",
        "The API key of your Reward account: sk_live_… or sk_test_…. Without it nothing is sent.",
        read=text,
        secret=True,
    )
    webhook_token: str = setting(
        "",
        "Any long random text. The address that you give to Reward ends in it: "
        "https://your-host/webhooks/reward?token= and the text.",
        read=text,
        secret=True,
    )


class TriggerEventFields(ActionFields):
    awards = True

    trigger_id = IdField(
        "Trigger ID",
        "The id of a trigger of the type Custom, as Reward's dashboard has it",
        default={"@liquid": "{{ event | downcase | replace: ' ', '_' }}"},
        required=True,
    )
    user_id = CustomerField(
        "User ID", "The user's id in Reward: the one that the plugin was loaded with"
    )
    value = NumberField(
        "Value", "What the event is worth, such as an order's total", default="$.properties.total"
    )
    properties = ObjectField(
        "Properties", "What else is sent beside the value", default="$.properties"
    )


class Reward(Destination):
    """The destination. Its requests carry the API key as a Bearer token.

    Nothing checks the key: firing a trigger is the only thing that Reward documents.
    """

    name = "reward"
    label = "Reward"
    credentials = (RewardSettings.PREFIX + "API_KEY",)

    def __init__(self, settings: RewardSettings) -> None:
        trigger_event = Action(
            name="triggerEvent",
            label="Trigger Event",
            description="Fire a custom trigger of Reward, whose rules then award what it earns",
            fields=TriggerEventFields(),
            requests=_trigger,
            rule=_no_way,
        )
        super().__init__(url=settings.url, pacing=settings, actions=[trigger_event])
        self.in_use = bool(settings.api_key)
        self._key = settings.api_key

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._key}"}


def _trigger(payload: dict[str, Json]) -> Sequence[Request]:
    trigger, user = (quote(cast(str, payload[name]), safe="") for name in ("trigger_id", "user_id"))
    body = dict(cast(dict[str, Json], payload.get("properties", {})))
    if "value" in payload:
        body["value"] = payload["value"]
    return [
        Request(
            method="POST",
            path=f"/v1/triggers/{trigger}/users/{user}/events",
            body=json_codec.dumps(body),
            # Reward documents no idempotency key: the same event sent twice is awarded twice.
            idempotent=False,
        )
    ]


def _no_way(payload: dict[str, Json]) -> Discard | None:
    """No encoding keeps these from meaning another path."""
    for name in ("trigger_id", "user_id"):
        if payload[name] in (".", ".."):
            detail = f"Trigger Event: {name} {payload[name]} cannot stand in a path."
            return Discard(reason="payload_validation_failed", detail=detail)
    return None


class RewardWebhook(EngineSource):
    """The source: `POST /webhooks/reward?token=…`.

    It confirms nothing: a trigger is told with its value alone, and two orders may have the same.
    """

    name = "reward"
    credentials = (RewardSettings.PREFIX + "WEBHOOK_TOKEN",)
    remedy = (
        "The token is missing or does not fit. The address that Reward calls must end in "
        f"?token= and {RewardSettings.PREFIX}WEBHOOK_TOKEN."
    )

    def __init__(self, settings: RewardSettings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Lock(token=settings.webhook_token), clock)

    def call(self, notice: dict[str, Json]) -> Json:
        """`{"id", "type", "time", "data": {"user": {"id"}, …}}` as a call of Segment's spec."""
        event, properties = notice.get("type"), notice.get("data")
        if not isinstance(properties, dict):
            properties = {}
        if event == "balance.credit_points_issued":
            properties = {**properties, "payout": "engine"}  # they are in Reward's own balance
        now = self.now()
        return {
            "type": "track",
            "event": event,
            "userId": part(notice, "data", "user", "id"),
            "messageId": message_id({"messageId": notice.get("id")}, json_codec.dumps(notice)),
            "timestamp": first_date(notice.get("time")) or now,
            "receivedAt": now,
            "properties": properties,
        }


PARTNER = Partner(settings=RewardSettings, source=RewardWebhook, destination=Reward)
