"""The worker: claim what is ready, perform it, settle what came of it, in one loop.

Only the loop's own thread touches the database: in one transaction it settles everything that its
performers have finished since the last turn, and claims what comes next.
"""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import cast

import structlog

from destination import metrics, performing
from destination.database import Database
from destination.deliveries import Status, Trouble, Verdict
from destination.errors import StoreUnavailable
from destination.logs import fault
from destination.partners import Batching, Destination, Request
from destination.performing import Line, open_line, parked
from destination.settings import Settings
from destination.store import paces, sending
from destination.store.claims import Claim, Settlement
from destination.store.paces import Terms, Wanted
from destination.store.retention import Ages, keep_sweeping
from destination.suspects import perform_alone

log = structlog.get_logger()

#: Seconds between two looks for work of an idle worker that hears of none.
SWEEP = 5.0

#: Seconds that what is finished waits for others, to be settled in one transaction with them.
GATHER = 0.004

#: Seconds to wait before the database is tried again, when it could not be used.
PAUSE = 1.0

#: Seconds that a stopping worker gives to what is under way, before it cuts it off.
GRACE = 8.0


class Worker:
    """Delivers to every destination until it is told to stop."""

    def __init__(
        self,
        database: Database,
        destinations: Mapping[str, Destination],
        settings: Settings,
    ) -> None:
        self._database = database
        self._destinations = destinations
        self._settings = settings
        self._terms = Terms(
            lease=settings.lease,
            hold_probe=settings.hold_probe,
            breaker_failures=settings.breaker_failures,
            breaker_probe=settings.breaker_probe,
        )
        self._ages = Ages(
            delivered=settings.keep_delivered,
            discarded=settings.keep_discarded,
            failed=settings.keep_failed,
            ids=settings.keep_ids,
            awards=settings.award_memory,
        )
        #: What it delivers to, as it was opened: destinations may come, change and go.
        self._lines: dict[str, Line] = {}
        self._performers = 0
        #: Claims to perform together, with the moment before which they were claimed.
        self._jobs: queue.SimpleQueue[tuple[list[Claim], float]] = queue.SimpleQueue()
        #: What is finished; None means that there may be something new to claim.
        self._done: queue.SimpleQueue[Settlement | None] = queue.SimpleQueue()
        #: Whether something was queued that is more than bulk.
        self._hurry = False
        self._stopping = threading.Event()
        self._stopped_at = 0.0

    def stop(self) -> None:
        """Claim nothing more, and let `run` return within ten seconds. Safe in a signal handler."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._stopping.set()
        self._done.put(None)

    def wake(self) -> None:
        """Look at the destinations now: they have changed. Safe from any thread."""
        self._done.put(None)

    def _hear(self, more_than_bulk: bool) -> None:
        """Something may have been queued."""
        self._hurry |= more_than_bulk
        self._done.put(None)

    def run(self) -> None:
        """Deliver until `stop`; what is under way then is finished, or cut off, and settled."""
        end_listening = self._database.listen(self._hear)
        end_sweeping = keep_sweeping(self._database, self._ages)
        under_way: dict[int, Claim] = {}
        finished: list[Settlement] = []
        rest, hurry = 0.0, False
        while self._goes_on(under_way, finished):
            longest = 0.2 if self._stopping.is_set() else min(rest, SWEEP)
            beside_bulk = any(claim.bulk for claim in under_way.values())
            for settlement in self._gather(longest, len(under_way), beside_bulk=beside_bulk):
                del under_way[settlement.claim.attempt_id]
                finished.append(settlement)
            # What comes beside bulk is claimed at once; what is finished is settled after it.
            hurry, self._hurry = self._hurry and beside_bulk and not hurry, False
            before = performing.clock()
            try:
                self._open_lines(under_way.values())
                wanted = self._wanted(under_way.values(), takes_bulk=not hurry)
                settled = [] if hurry and wanted else finished
                # A look takes no lock: a worker with nothing to do is in nobody's way.
                quiet = not (settled or hurry)
                if quiet and (rest := sending.look(self._database, wanted)) > 0:
                    continue
                turn = sending.settle_and_claim(self._database, settled, wanted, self._terms)
            except StoreUnavailable as error:
                log.error("store unavailable", cause=str(error))
                self._stopping.wait(PAUSE)
                continue  # what is finished is settled as soon as the database is back
            _count(settled)
            finished = finished[len(settled) :]
            rest = 0.0 if hurry else turn.rest
            for name, reason in turn.changes.items():
                log.warning("on hold" if reason else "well again", destination=name, reason=reason)
            under_way |= {claim.attempt_id: claim for claim in turn.claims}
            self._start_performers(len(under_way))
            for job in self._jobs_of(turn.claims):
                self._jobs.put((job, before))
        end_listening()
        end_sweeping()
        for line in self._lines.values():
            line.client.close()

    def _open_lines(self, under_way: Iterable[Claim]) -> None:
        """Take up the destinations that are new or changed, and give up those that are gone.

        Raises StoreUnavailable.
        """
        gone = self._lines.keys() - self._destinations.keys()
        for name in gone - {claim.destination for claim in under_way}:
            self._lines.pop(name).client.close()
        new = {
            name: destination
            for name, destination in self._destinations.items()
            if name not in self._lines or self._lines[name].destination is not destination
        }
        if not new:
            return
        for name in paces.enter(self._database, list(new)):
            log.warning("on hold", destination=name)
        for name, destination in new.items():
            if replaced := self._lines.get(name):
                replaced.client.close()
            self._lines[name] = open_line(destination, self._settings)

    def _start_performers(self, under_way: int) -> None:
        """One for each claim under way: those that have no more to do wait for the next."""
        for _ in range(under_way - self._performers):
            threading.Thread(target=self._perform_jobs, name="perform", daemon=True).start()
        self._performers = max(under_way, self._performers)

    def _goes_on(self, under_way: Sized, finished: Sized) -> bool:
        if not self._stopping.is_set():
            return True
        since = time.monotonic() - self._stopped_at
        if since > GRACE:
            for line in self._lines.values():
                line.client.cut()
        return since < GRACE + 1.5 and len(under_way) + len(finished) > 0

    def _gather(self, seconds: float, under_way: int, *, beside_bulk: bool) -> list[Settlement]:
        """What the performers finish: waits for something to happen, then a moment for others,
        so that they share a transaction; but not where no others are under way, nor where
        something is in a hurry beside bulk.
        """
        finished: list[Settlement] = []
        with contextlib.suppress(queue.Empty):
            happened = self._done.get(timeout=seconds)
            ends = time.monotonic() + GATHER
            while True:
                if happened:
                    finished.append(happened)
                if self._hurry and beside_bulk:
                    break
                left = ends - time.monotonic() if len(finished) < under_way else 0.0
                happened = self._done.get(timeout=max(0.0, left))
        return finished

    def _wanted(self, under_way: Iterable[Claim], *, takes_bulk: bool) -> list[Wanted]:
        """What there is room for, by destination."""
        if self._stopping.is_set():
            return []
        busy = Counter((claim.destination, claim.bulk) for claim in under_way)
        wanted = []
        for name in self._destinations:
            if name not in self._lines:
                continue  # it came this moment, and is opened in the next turn
            destination = self._lines[name].destination
            pacing, bulk = destination.pacing, busy[name, True]
            count = bulk + busy[name, False]
            if count < pacing.concurrency:
                wanted.append(
                    Wanted(
                        destination=name,
                        room=pacing.concurrency - count,
                        busy=count,
                        bulk=bulk,
                        takes_bulk=takes_bulk,
                        share=self._settings.bulk_share,
                        rate=pacing.rate_limit or None,
                        most=destination.connections,
                    )
                )
        return wanted

    def _jobs_of(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        """The claims, each by itself; together where their destination takes many at once."""
        together: dict[str, list[Claim]] = {}
        jobs = []
        for claim in claims:
            batching = self._lines[claim.destination].batching
            if batching and not (claim.suspect or claim.probe):
                together.setdefault(claim.destination, []).append(claim)
            else:
                jobs.append([claim])
        return [*jobs, *together.values()]

    def _perform_jobs(self) -> None:
        """A performer's life: one job at a time. Whatever happens to it, it is settled."""
        while True:
            claims, before = self._jobs.get()
            for settlement in self._perform_all(claims, before):
                _tell(settlement)
                self._done.put(settlement)

    def _perform_all(self, claims: Sequence[Claim], before: float) -> Iterator[Settlement]:
        """Several claims in as few requests as they fit in; a lone one by itself."""
        rest = list(claims)
        try:
            while len(rest) > 1 and (requests := self._requests(rest)):
                line = self._lines[rest[0].destination]
                request, count = cast(Batching, line.batching).batch(requests)
                exchange = line.exchange(request, before)
                settlements = [
                    line.judge(claim, request, exchange, last=True) for claim in rest[:count]
                ]
                if count > 1 and settlements[0].verdict is Verdict.REJECTED:
                    break  # it does not tell which of them is wrong: each is sent by itself
                yield from settlements
                rest = rest[count:]
        except Exception as error:
            log.error("performing failed", delivery=rest[0].delivery_id, **fault(error))
            yield parked(rest.pop(0), Trouble.FAULT, type(error).__name__)
        for claim in rest:
            try:
                yield self._perform(claim, before)
            except Exception as error:
                log.error("performing failed", delivery=claim.delivery_id, **fault(error))
                yield parked(claim, Trouble.FAULT, type(error).__name__)

    def _requests(self, claims: Sequence[Claim]) -> list[Request]:
        """The next request of each; none where one of them cannot be made: which one it is shows
        when each is sent by itself.
        """
        with contextlib.suppress(Exception):
            return [self._lines[each.destination].requests(each)[each.step] for each in claims]
        return []

    def _perform(self, claim: Claim, before: float) -> Settlement:
        line = self._lines[claim.destination]
        if claim.suspect:
            return perform_alone(line.destination, self._settings, claim, before)
        return line.perform(claim, before)


def _tell(settlement: Settlement) -> None:
    """Log what was not delivered."""
    claim, exchange = settlement.claim, settlement.exchange
    if settlement.verdict is not Verdict.DELIVERED:
        log.warning(
            "not delivered",
            delivery=claim.delivery_id,
            destination=claim.destination,
            attempt=claim.attempts,
            verdict=settlement.verdict.value,
            reason=settlement.reason,
            **({"wait": round(settlement.wait, 1)} if settlement.wait else {}),
            **({} if exchange.status else {"cause": exchange.answer}),
        )


def _count(settlements: Sequence[Settlement]) -> None:
    for settlement in settlements:
        name = settlement.claim.destination
        metrics.attempts.labels(name, settlement.verdict.value).inc()
        if settlement.status is not Status.PENDING:
            metrics.settled.labels(name, settlement.status.value).inc()
        if settlement.status is Status.DELIVERED:
            waited = settlement.claim.claimed_at - settlement.claim.created_at
            metrics.waiting.labels(name).observe(max(0.0, waited))
