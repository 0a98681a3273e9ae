"""The way back of the demonstration: what the engines told, and what of it reached Segment."""

import time
from dataclasses import dataclass, field
from typing import Any

import requests
from rich.text import Text

from destination import jsontext
from destination.cli import tables
from destination.database import Database
from destination.store import records
from destination.store.filters import Filter

#: The sources that tell what members earned.
ENGINES = ("rehook", "reward")


@dataclass(kw_only=True)
class Told:
    """The notices of one event."""

    event: str
    times: int = 0
    #: Why they made no delivery, where they made none.
    reason: str | None = None
    #: Where their deliveries stand.
    statuses: set[str] = field(default_factory=set)
    #: What reached Segment, by the newest of them.
    reached: str = ""


def newest_event(kept: Database) -> int:
    """The id of the newest event; 0 where there is none."""
    return next((row["id"] for row in records.events(kept, limit=1)), 0)


def wait_for_webhooks(sandbox_url: str, kept: Database, *, after: int, until: float) -> bool:
    """Wait until all that the engines told is taken in and delivered; whether it came so far."""
    while time.monotonic() < until:
        webhooks = requests.get(f"{sandbox_url}/_sandbox/webhooks", timeout=10).json()
        taken = all(webhook["answers"][-1:] == [200] for webhook in webhooks)
        ids = [row["message_id"] for row in _events(kept, after)]
        if taken and not records.unsettled(kept, ids):
            return True
        time.sleep(0.1)
    return False


def print_returns(kept: Database, *, after: int) -> None:
    """A line for each event that the engines told of since the event `after`."""
    found: dict[str, Told] = {}
    for row in _events(kept, after):
        full = records.event(kept, row["id"]) or {}
        name = _named(jsontext.loads(full["call"]))
        told = found.setdefault(name, Told(event=name))
        told.times += 1
        told.reason = row["reason"]
        for delivery in full["deliveries"]:
            told.statuses.add(delivery["status"])
            told.reached = told.reached or _sent(records.delivery(kept, delivery["id"]) or {})
    console = tables.console()
    table = tables.new_table(("the engines told", "times", "outcome", "reached Segment"))
    event, times, outcome, reached = table.columns
    times.width, times.justify = len("times"), "right"
    event.width = max([len("the engines told"), *map(len, found)])
    outcome.width = 32
    reached.width = max(8, console.width - event.width - outcome.width - 19)
    reached.no_wrap, reached.overflow = True, "ellipsis"
    for told in sorted(found.values(), key=lambda each: each.event):
        words = [tables.coloured(status) for status in sorted(told.statuses)]
        kept_only = tables.coloured("discarded").append(f" {told.reason}", style="dim")
        outcomes = Text(", ").join(words) if words else kept_only
        table.add_row(told.event, str(told.times), outcomes, Text(told.reached or "—"))
    console.print(table)


def _events(kept: Database, after: int) -> list[dict[str, Any]]:
    every = [row for source in ENGINES for row in records.events(kept, Filter(source=source))]
    return [row for row in every if row["id"] > after]


def _named(call: dict[str, Any]) -> str:
    """The event, and who pays, where somebody does."""
    payout = call["properties"].get("payout")
    return f"{call['event']}, payout: {payout}" if payout else str(call["event"])


def _sent(delivery: dict[str, Any]) -> str:
    payload = jsontext.loads(delivery["payload"])
    return f"{payload.get('event', '')} {jsontext.dumps(payload.get('properties', {}))}".strip()
