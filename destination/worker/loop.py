"""The worker: claim what is ready, perform it, settle what came of it, in one loop.

Only the loop's own thread touches the database: in one transaction it settles everything that its
performers have finished since the last turn, and claims what comes next.
"""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from destination.errors import StoreUnavailable
from destination.model.delivery import Status
from destination.model.lease import Claim, Settlement
from destination.partners.base.destination import Destination
from destination.settings.tables import Settings
from destination.store.database import Database
from destination.store.queue import poll, rate_limit
from destination.store.queue.rate_limit import Terms, Wanted
from destination.store.upkeep.retention import Ages, keep_sweeping
from destination.support import metrics
from destination.worker import attempt
from destination.worker.attempt import Line, open_line
from destination.worker.pool import Performers

log = structlog.get_logger()

#: Seconds between two looks for work of an idle worker that hears of none; and between two looks
#: of one that stops at what is still under way.
LOOK_EVERY, STOPPING_REST = 5.0, 0.2

#: Seconds that what is finished waits for others, to be settled in one transaction with them.
GATHER = 0.004

#: Seconds to wait before the database is tried again, when it could not be used.
PAUSE = 1.0

#: Seconds that a stopping worker gives to what is under way, before it cuts it off; and in which
#: what was cut off is settled.
GRACE, SETTLING = 8.0, 1.5


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
        #: What is finished; None means that there may be something new to claim.
        self._done: queue.SimpleQueue[Settlement | None] = queue.SimpleQueue()
        self._performers = Performers(self._lines, settings, self._done.put)
        #: What is being sent, by attempt; and what has been, and is to be settled.
        self._under_way: dict[int, Claim] = {}
        self._finished: list[Settlement] = []
        #: Whether something was queued since the last turn that is more than bulk.
        self._queued = False
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
        self._queued |= more_than_bulk
        self._done.put(None)

    def run(self) -> None:
        """Deliver until `stop`; what is under way then is finished, or cut off, and settled."""
        end_listening = self._database.listen(self._hear)
        end_sweeping = keep_sweeping(self._database, self._ages)
        rest, hurry = 0.0, False
        while self._goes_on():
            beside_bulk = any(claim.bulk for claim in self._under_way.values())
            self._gather(rest, beside_bulk=beside_bulk)
            # What comes beside bulk does not wait for what is finished to be settled; but that
            # waits for one turn at most.
            hurry = self._queued and beside_bulk and not hurry
            self._queued = False
            rest = self._turn(hurry=hurry)
        end_listening()
        end_sweeping()
        for line in self._lines.values():
            line.client.close()

    def _goes_on(self) -> bool:
        if not self._stopping.is_set():
            return True
        since = time.monotonic() - self._stopped_at
        if since > GRACE:
            for line in self._lines.values():
                line.client.cut()
        return since < GRACE + SETTLING and bool(self._under_way or self._finished)

    def _gather(self, rest: float, *, beside_bulk: bool) -> None:
        """Take what the performers finish: wait `rest` seconds at most for something to happen,
        then a moment for others, so that they share a transaction; but not where no others are
        under way, nor where something is in a hurry beside bulk.
        """
        longest = STOPPING_REST if self._stopping.is_set() else min(rest, LOOK_EVERY)
        with contextlib.suppress(queue.Empty):
            happened = self._done.get(timeout=longest)
            ends = time.monotonic() + GATHER
            while True:
                if happened:
                    del self._under_way[happened.claim.attempt_id]
                    self._finished.append(happened)
                if self._queued and beside_bulk:
                    break
                left = ends - time.monotonic() if self._under_way else 0.0
                happened = self._done.get(timeout=max(0.0, left))

    def _turn(self, *, hurry: bool) -> float:
        """Settle what is finished and claim what comes next, in one transaction; in a hurry, claim
        only what is no bulk, and settle nothing. Returns the seconds until the next turn, where
        nothing happens before.
        """
        before = attempt.clock()
        try:
            self._open_lines()
            wanted = self._wanted(takes_bulk=not hurry)
            settled = [] if hurry and wanted else self._finished
            # A look takes no lock: a worker with nothing to do is in nobody's way.
            if not (settled or hurry) and (rest := poll.look(self._database, wanted)) > 0:
                return rest
            turn = poll.settle_and_claim(self._database, settled, wanted, self._terms)
        except StoreUnavailable as error:
            log.error("store unavailable", cause=str(error))
            self._stopping.wait(PAUSE)
            return 0.0  # what is finished is settled as soon as the database is back
        _count(settled)
        self._finished = self._finished[len(settled) :]
        for name, reason in turn.changes.items():
            log.warning("on hold" if reason else "well again", destination=name, reason=reason)
        self._under_way |= {claim.attempt_id: claim for claim in turn.claims}
        self._performers.perform(turn.claims, before, under_way=len(self._under_way))
        return 0.0 if hurry else turn.rest

    def _open_lines(self) -> None:
        """Take up the destinations that are new or changed, and give up those that are gone.

        Raises StoreUnavailable.
        """
        gone = self._lines.keys() - self._destinations.keys()
        for name in gone - {claim.destination for claim in self._under_way.values()}:
            self._lines.pop(name).client.close()
        new = {
            name: destination
            for name, destination in self._destinations.items()
            if name not in self._lines or self._lines[name].destination is not destination
        }
        if not new:
            return
        for name in rate_limit.enter(self._database, list(new)):
            log.warning("on hold", destination=name)
        for name, destination in new.items():
            if replaced := self._lines.get(name):
                replaced.client.close()
            self._lines[name] = open_line(destination, self._settings)

    def _wanted(self, *, takes_bulk: bool) -> list[Wanted]:
        """What there is room for, by destination."""
        if self._stopping.is_set():
            return []
        busy = Counter((claim.destination, claim.bulk) for claim in self._under_way.values())
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


def _count(settlements: Sequence[Settlement]) -> None:
    for settlement in settlements:
        name = settlement.claim.destination
        metrics.attempts.labels(name, settlement.verdict.value).inc()
        if settlement.status is not Status.PENDING:
            metrics.settled.labels(name, settlement.status.value).inc()
        if settlement.status is Status.DELIVERED:
            waited = settlement.claim.claimed_at - settlement.claim.created_at
            metrics.waiting.labels(name).observe(max(0.0, waited))
