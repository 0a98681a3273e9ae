"""The worker: claim what is ready, perform it, settle what came of it, in one loop.

Only the loop's own thread touches the database: in one transaction it settles everything that its
performers have finished since the last turn, and claims what comes next.
"""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from destination import deliveries, jsontext
from destination.database import Database
from destination.deliveries import Exchange, Status, Trouble, Verdict
from destination.errors import StoreUnavailable
from destination.logs import fault
from destination.partners import Destination, Request
from destination.partners.http import Client
from destination.settings import Settings
from destination.store import sending
from destination.store.sending import Claim, Settlement

log = structlog.get_logger()

#: Seconds between two looks for work, when none was found.
POLL = 0.2

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
        chance: random.Random | None = None,
    ) -> None:
        self._database = database
        self._destinations = destinations
        self._settings = settings
        self._chance = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._clients = {
            name: Client(
                destination.url,
                headers=destination.headers(),
                connect_timeout=settings.connect_timeout,
                read_timeout=settings.read_timeout,
                connections=settings.concurrency,
            )
            for name, destination in destinations.items()
        }
        #: Claims to perform, each with the moment before which it was claimed.
        self._jobs: queue.SimpleQueue[tuple[Claim, float]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Settlement] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._stopped_at = 0.0

    def stop(self) -> None:
        """Claim nothing more, and let `run` return within ten seconds. Safe in a signal handler."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._stopping.set()

    def run(self) -> None:
        """Deliver until `stop`; what is under way then is finished, or cut off, and settled."""
        for _ in range(self._settings.concurrency * len(self._destinations)):
            threading.Thread(target=self._perform_jobs, name="perform", daemon=True).start()
        self._probe_held()
        under_way: Counter[str] = Counter()
        finished: list[Settlement] = []
        while self._goes_on(under_way, finished):
            finished += self._wait(POLL)
            before = _clock()
            try:
                claims = self._turn(finished, self._room(under_way, finished))
            except StoreUnavailable as error:
                log.error("store unavailable", cause=str(error))
                self._stopping.wait(PAUSE)
                continue  # what is finished is settled as soon as the database is back
            under_way.subtract(settlement.claim.destination for settlement in finished)
            under_way.update(claim.destination for claim in claims)
            finished = []
            for claim in claims:
                self._jobs.put((claim, before))
        for client in self._clients.values():
            client.close()

    def _probe_held(self) -> None:
        try:
            for name in sending.probe_now(self._database):
                log.warning("on hold, one delivery probes it now", destination=name)
        except StoreUnavailable as error:
            log.error("store unavailable", cause=str(error))  # then they are probed in their time

    def _goes_on(self, under_way: Counter[str], finished: Sequence[Settlement]) -> bool:
        if not self._stopping.is_set():
            return True
        since = time.monotonic() - self._stopped_at
        if since > GRACE:
            for client in self._clients.values():
                client.cut()
        return since < GRACE + 1.5 and (under_way.total() > 0 or bool(finished))

    def _wait(self, seconds: float) -> list[Settlement]:
        """What the performers have finished; waits for the first, but not for more."""
        finished = []
        try:
            finished.append(self._done.get(timeout=seconds))
            while True:
                finished.append(self._done.get_nowait())
        except queue.Empty:
            return finished

    def _room(self, under_way: Counter[str], finished: Sequence[Settlement]) -> dict[str, int]:
        """How many deliveries may be claimed, by destination."""
        if self._stopping.is_set():
            return {}
        busy = under_way - Counter(settlement.claim.destination for settlement in finished)
        free = {name: self._settings.concurrency - busy[name] for name in self._destinations}
        return {name: count for name, count in free.items() if count > 0}

    def _turn(self, finished: Sequence[Settlement], room: Mapping[str, int]) -> list[Claim]:
        """Settle, and claim what there is room for."""
        if not finished and not (room and sending.ready(self._database, list(room))):
            return []  # a look takes no lock: an idle worker is in nobody's way
        return sending.settle_and_claim(
            self._database,
            finished,
            room,
            lease=self._settings.lease,
            probe_every=self._settings.hold_probe,
        )

    def _perform_jobs(self) -> None:
        """A performer's life: one delivery at a time. Whatever happens to it, it is settled."""
        while True:
            claim, before = self._jobs.get()
            try:
                settlement = self._perform(claim, before)
            except Exception as error:
                log.error("performing failed", delivery=claim.delivery_id, **fault(error))
                settlement = _broken(claim, error)
            self._done.put(settlement)

    def _perform(self, claim: Claim, before: float) -> Settlement:
        action = self._destinations[claim.destination].actions[claim.action]
        payload = jsontext.loads(claim.payload)
        requests = action.requests(payload)
        request = requests[claim.step]
        client = self._clients[claim.destination]
        if claim.interrupted:
            words = "The worker that held it died, and nobody saw the answer."
            exchange = client.without_answer(request, Trouble.WORKER_DIED, words)
        elif _clock() - before > self._settings.lease / 2:
            # Another worker may take the lane over while this request would be under way.
            words = "Half of its lease had gone before it could be sent."
            exchange = client.without_answer(request, Trouble.NOT_SENT, words)
        else:
            exchange = client.exchange(request)
        settlement = self._judge(claim, request, exchange, last=request is requests[-1])
        if request.objection and settlement.verdict is Verdict.REJECTED and action.code:
            return replace(settlement, lost_code=payload[action.code])
        return settlement

    def _judge(
        self, claim: Claim, request: Request, exchange: Exchange, *, last: bool
    ) -> Settlement:
        """What the exchange means for the delivery."""
        verdict = deliveries.verdict(
            exchange, idempotent=request.idempotent, ambiguous=self._settings.ambiguous
        )
        reason = None if verdict is Verdict.DELIVERED else deliveries.reason(exchange)
        if request.objection and verdict in (Verdict.DELIVERED, Verdict.REJECTED):
            reason = request.objection(exchange)
            verdict = Verdict.REJECTED if reason else Verdict.DELIVERED
        status, wait, step = verdict.status, 0.0, claim.step
        if verdict is Verdict.DELIVERED and not last:
            status, step = Status.PENDING, claim.step + 1
        if verdict is Verdict.RETRY:
            wait = self._wait_before_retry(claim, exchange)
            if claim.claimed_at - claim.first_attempt_at >= self._settings.retry_horizon:
                status = Status.FAILED
        if verdict is not Verdict.DELIVERED:
            log.warning(
                "not delivered",
                delivery=claim.delivery_id,
                destination=claim.destination,
                attempt=claim.attempts,
                verdict=verdict.value,
                reason=reason,
                **({"wait": round(wait, 1)} if wait else {}),
                **({} if exchange.status else {"cause": exchange.answer}),
            )
        elif claim.probe:
            log.info("well again", destination=claim.destination)
        return Settlement(
            claim=claim,
            exchange=exchange,
            verdict=verdict,
            status=status,
            reason=reason,
            wait=wait,
            step=step,
        )

    def _wait_before_retry(self, claim: Claim, exchange: Exchange) -> float:
        asked = deliveries.retry_after(exchange.retry_after, now=time.time())
        return asked if asked is not None else deliveries.backoff(claim.attempts, self._chance)


def _broken(claim: Claim, error: Exception) -> Settlement:
    """A fault of ours, at a moment that nobody knows: somebody looks before it is sent again."""
    exchange = Exchange(method="", url="", trouble=Trouble.FAULT, answer=type(error).__name__)
    return Settlement(
        claim=claim,
        exchange=exchange,
        verdict=Verdict.UNKNOWN,
        status=Status.UNCERTAIN,
        reason=Trouble.FAULT.value,
        step=claim.step,
    )


def _clock() -> float:
    """Seconds that pass even while the machine sleeps: leases do not wait for it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
