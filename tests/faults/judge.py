"""The judge: what the ledger and the database say became of everything that was acknowledged."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from destination.store import schema
from destination.store.database import Database
from tests.faults.ledger import Entry

#: Troubles under which a request may have reached the engine, or not.
UNSEEN = {"timeout", "connection_lost", "worker_died"}

#: So many workers died in a row with what failed as crashed.
DEATHS = ["worker_died"] * 3


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The figures of a run. Those of `wrong` must be empty: each names its messages."""

    sent: int
    acknowledged: int
    #: How many deliveries stand at each status, and how many calls were discarded.
    statuses: Counter[str]
    requests: int
    attempts: int
    #: What must not be, by the name of its figure: message id and what is wrong with it.
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        return not any(self.wrong.values())


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What the database holds of one message."""

    status: str
    attempts: list[Any]
    reason: str | None = None

    @property
    def crashed(self) -> bool:
        """Whether it failed as it must: as many workers as that died with it under way."""
        last = [row.trouble for row in self.attempts if row.trouble != "late"][-len(DEATHS) :]
        return self.reason == "crashed" and last == DEATHS


def judge(
    database: Database,
    ledger: Sequence[Entry],
    work: Iterable[Sequence[dict[str, Any]]],
    acknowledged: set[str],
) -> Verdict:
    """Compare what was sent, what is kept, and what arrived."""
    work = list(work)
    kept = _kept(database)
    arrived: dict[str, list[Entry]] = defaultdict(list)
    for line in ledger:
        arrived[line.message].append(line)
    return Verdict(
        sent=sum(map(len, work)),
        acknowledged=len(acknowledged),
        statuses=Counter(
            "failed as crashed" if found.crashed else found.status for found in kept.values()
        ),
        requests=len(ledger),
        attempts=sum(len(found.attempts) for found in kept.values()),
        wrong={
            "lost": sorted(_lost(acknowledged, kept, arrived)),
            "duplicated awards": [
                name for name, lines in arrived.items() if sum(line.awards for line in lines) > 1
            ],
            "out of order": list(_out_of_order(ledger, work)),
            "ledger and attempts differ": list(_different(kept, arrived)),
        },
    )


def _kept(database: Database) -> dict[str, _Kept]:
    event, delivery, attempt = schema.event, schema.delivery, schema.attempt
    attempts: dict[int, list[Any]] = defaultdict(list)
    with database.reading() as connection:
        for row in connection.execute(sa.select(attempt).order_by(attempt.c.id)):
            attempts[row.delivery_id].append(row)
        discarded = connection.execute(sa.select(event.c.message_id).join(schema.discard))
        found = {name: _Kept(status="discarded", attempts=[]) for name in discarded.scalars()}
        rows = connection.execute(
            sa.select(delivery.c.id, delivery.c.status, delivery.c.reason, event.c.message_id).join(
                event
            )
        )
        for row in rows:
            found[row.message_id] = _Kept(
                status=row.status, attempts=attempts[row.id], reason=row.reason
            )
    return found


def _lost(
    acknowledged: set[str], kept: dict[str, _Kept], arrived: dict[str, list[Entry]]
) -> Iterable[str]:
    """Acknowledged, and not kept, or said to be delivered when the engine never took it."""
    yield from (f"{name}: not kept" for name in acknowledged - kept.keys())
    for name, found in kept.items():
        answered = {line.status for line in arrived[name]}
        if found.status == "delivered" and 200 not in answered:
            yield f"{name}: delivered, but the engine never took it"
        if found.status == "failed" and 400 not in answered and not found.crashed:
            yield f"{name}: failed, but the engine never refused it"


def _out_of_order(
    ledger: Sequence[Entry], work: Iterable[Sequence[dict[str, Any]]]
) -> Iterable[str]:
    place = {call["messageId"]: i for calls in work for i, call in enumerate(calls)}
    latest: dict[str, int] = {}
    seen = set()
    for line in ledger:
        if line.message in seen:
            continue
        seen.add(line.message)
        if place[line.message] < latest.get(line.customer, -1):
            yield line.message
        latest[line.customer] = max(place[line.message], latest.get(line.customer, -1))


def _different(kept: dict[str, _Kept], arrived: dict[str, list[Entry]]) -> Iterable[str]:
    """Every request has its attempt, and every attempt its request, but for those of which
    the attempt itself says that nobody knows, or that nothing was sent.
    """
    for name in kept.keys() | arrived.keys():
        attempts = kept[name].attempts if name in kept else []
        seen = Counter(row.status for row in attempts if row.status is not None)
        answered = Counter(line.status for line in arrived[name] if line.status is not None)
        unseen = sum(row.trouble in UNSEEN for row in attempts)
        unended = sum(row.ended_at is None for row in attempts)
        requests = len(arrived[name])
        if seen - answered:
            yield f"{name}: answers {dict(seen)} were kept, {dict(answered)} were given"
        elif not seen.total() <= requests <= seen.total() + unseen or unended:
            yield (
                f"{name}: {requests} requests, {seen.total()} answers, {unseen} without an answer, "
                f"{unended} attempts without an end"
            )
