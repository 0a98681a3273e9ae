"""The way back of the demonstration: what the engines told, and whom of the others it reached."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import requests
from rich.text import Text

from destination.cli import tables
from destination.model.delivery import Status
from destination.partners.base.destination import partner_of
from destination.registry import LOOK_EVERY
from destination.store.database import Database
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queries.rows import EventRow
from destination.support import json_codec
from destination.support.json_codec import Json

#: The sources that tell what members earned.
ENGINES = ("rehook", "reward")

#: What the subscriber wants to be told of: what the engines tell, by Capillary's names where it
#: has one.
WANTED = (
    "customerAdded",
    "rewardIssued",
    "pointsIssued",
    "customer.referral.successful.advocate",
    "customer.referral.successful.friend",
    "signup",
    "trigger_event.created",
)

#: A narrower column says nothing of what was sent, and is left out.
LEAST = 16

#: Seconds to wait for one of our own answers.
TIMEOUT = 10.0


@dataclass(kw_only=True)
class Told:
    """The notices of one event."""

    event: str
    times: int = 0
    #: Why they made no delivery, where they made none.
    reason: str | None = None
    #: How many of their deliveries stand where.
    statuses: Counter[str] = field(default_factory=Counter)
    #: What the newest event told each partner, in words.
    reached: dict[str, str] = field(default_factory=dict)


def subscribe(service_url: str, sandbox_url: str, user: tuple[str, str]) -> None:
    """Make the sandbox a subscriber, or renew its account from an earlier run. Then tell it the
    secret that signs. `user` is a name and a password of the subscribers' API.
    """
    hooks = f"{service_url}/v3/webHooks"
    account = {
        "name": "Sandbox",
        "webHookUrl": f"{sandbox_url}/subscriber",
        "eventNames": WANTED,
        "maxAllowedConnections": 4,
        "active": True,
    }
    accounts = {each["name"]: each for each in _call("GET", hooks, user=user)["data"]}
    if before := accounts.get(account["name"]):
        known = before["webHookId"]
        _call("PUT", f"{hooks}/{known}", account, user=user)
        if before["webHookUrl"] != account["webHookUrl"]:
            time.sleep(2 * LOOK_EVERY)  # until then the worker may tell whoever is there now
    else:
        known = _call("POST", hooks, account, user=user)["data"]["webHookId"]
    secret = _call("GET", f"{hooks}/{known}/secret", user=user)["data"]["secret"]
    _call("POST", f"{sandbox_url}/_sandbox/notified", {"secret": secret})


def newest_event(kept: Database) -> int:
    """The id of the newest event; 0 where there is none."""
    return next((row["id"] for row in lists.events(kept, limit=1)), 0)


def wait_for_webhooks(sandbox_url: str, kept: Database, *, after: int, until: float) -> bool:
    """Wait until all that the engines told is taken in, delivered, and has reached the stand-ins.
    Returns whether it has.
    """
    while time.monotonic() < until:
        webhooks = _call("GET", f"{sandbox_url}/_sandbox/webhooks")
        taken = all(webhook["answers"][-1:] == [200] for webhook in webhooks)
        ids = [row["message_id"] for row in _events(kept, after)]
        if taken and not lists.unsettled(kept, ids):
            return _all_reached(sandbox_url, kept, after)
        time.sleep(0.1)
    return False


def _all_reached(sandbox_url: str, kept: Database, after: int) -> bool:
    """Whether the stand-ins got what the deliveries say, and the subscriber found it signed."""
    made = [
        whole
        for row in _events(kept, after)
        if (event := lists.event(kept, row["id"]))
        for delivery in event["deliveries"]
        if (whole := lists.delivery(kept, delivery["id"]))
    ]
    wanted = {
        json_codec.load_object(each["payload"])["eventId"]
        for each in made
        if partner_of(each["destination"]) == "webhook"
    }
    notified = _call("GET", f"{sandbox_url}/_sandbox/notified")
    got = {each["notification"]["eventId"] for each in notified if each["signed"]}
    tracked = len(_call("GET", f"{sandbox_url}/_sandbox/tracked"))
    return (
        all(each["status"] == Status.DELIVERED.value for each in made)
        and bool(wanted)
        and wanted <= got
        and 0 < len(made) - len(wanted) <= tracked
    )


def print_returns(kept: Database, *, after: int) -> None:
    """A line for each event that the engines told of since the event `after`, and below it what
    of it went on.
    """
    found = sorted(_told(kept, after), key=lambda told: told.event)
    lines = [line for told in found for line in told.event.splitlines()]
    widths = {
        "the engines told": max(map(len, ["the engines told", *lines])),
        "times": len("times"),
        "outcome": max([len("outcome"), *(len(_outcome(told)) for told in found)]),
        "reached": max(map(len, STAND_INS.values())),
    }
    console = tables.console()
    left = console.width - sum(widths.values()) - tables.between([*widths, ""])
    if left >= LEAST:
        widths[""] = left
    table = tables.new_table(widths)
    for column, width in zip(table.columns, widths.values(), strict=True):
        column.width, column.no_wrap, column.overflow = width, True, "ellipsis"
    table.columns[1].justify = "right"
    for told in found:
        reached = [(STAND_INS[kind], words) for kind, words in sorted(told.reached.items())]
        whoms, words = zip(*reached or [("—", "")], strict=True)
        cells = (told.event, str(told.times), _outcome(told), "\n".join(whoms), "\n".join(words))
        table.add_row(*cells[: len(widths)])
    console.print(table)


def _told(kept: Database, after: int) -> Iterable[Told]:
    """What the engines told of since the event `after`, by event."""
    found: dict[str, Told] = {}
    for row in _events(kept, after):
        if (full := lists.event(kept, row["id"])) is None:
            continue
        name = _event_and_payer(json_codec.load_object(full["call"]))
        told = found.setdefault(name, Told(event=name))
        told.times += 1
        told.reason = row["reason"]
        for delivery in full["deliveries"]:
            told.statuses[delivery["status"]] += 1
            partner = partner_of(delivery["destination"])
            if partner not in told.reached and (whole := lists.delivery(kept, delivery["id"])):
                told.reached[partner] = _payload_words(json_codec.load_object(whole["payload"]))
    return found.values()


#: Who is told, by partner.
STAND_INS = {"segment": "Segment", "webhook": "subscriber"}


def _outcome(told: Told) -> Text:
    """Where the deliveries of an event stand: `30 delivered`; or why there are none."""
    if not told.statuses:
        return tables.coloured("discarded").append(f" {told.reason}", style="dim")
    counts = sorted(told.statuses.items())
    words = [Text(f"{count} ").append_text(tables.coloured(status)) for status, count in counts]
    return Text(", ").join(words)


def _events(kept: Database, after: int) -> list[EventRow]:
    every = [row for source in ENGINES for row in lists.events(kept, Filter(source=source))]
    return [row for row in every if row["id"] > after]


def _event_and_payer(call: dict[str, Json]) -> str:
    """The event, and in a second line who pays, where somebody does."""
    properties = call["properties"]
    payout = properties.get("payout") if isinstance(properties, dict) else None
    return f"{call['event']}\n  payout: {payout}" if payout else str(call["event"])


def _payload_words(payload: dict[str, Json]) -> str:
    """What was told, in a line: `Reward Earned {"points":10,…}`."""
    if "eventName" in payload:
        data = cast(dict[str, Json], payload["data"])
        told = {key: value for key, value in data.items() if key != "customerIdentifiers"}
        return f"{payload['eventName']} {json_codec.dumps(told)}"
    return f"{payload.get('event', 'identify')} {json_codec.dumps(payload.get('properties', {}))}"


def _call(
    method: str, url: str, body: object = None, *, user: tuple[str, str] | None = None
) -> Any:
    """The JSON that a sandbox answers, of whatever shape. Raises requests' errors."""
    answer = requests.request(method, url, json=body, auth=user, timeout=TIMEOUT)
    answer.raise_for_status()
    return answer.json()
