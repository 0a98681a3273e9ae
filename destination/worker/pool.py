"""Performers: threads that send what was claimed, side by side. Whatever happens, it is settled."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import structlog

from destination.model.lease import Claim, Settlement
from destination.model.request import Request
from destination.model.verdict import Trouble, Verdict
from destination.partners.base.destination import Batching
from destination.settings.tables import Settings
from destination.support.logs import fault
from destination.worker.attempt import Line, parked
from destination.worker.isolation import perform_alone

log = structlog.get_logger()


class Performers:
    """As many threads as claims have been under way at once: none waits for another."""

    def __init__(
        self,
        lines: Mapping[str, Line],
        settings: Settings,
        done: Callable[[Settlement], object],
    ) -> None:
        """`lines` are the destinations as they are open at a moment, by name; `done` is called with
        each settlement, by whatever thread.
        """
        self._lines = lines
        self._settings = settings
        self._done = done
        self._count = 0
        #: Claims to perform together, with the moment before which they were claimed.
        self._jobs: queue.SimpleQueue[tuple[list[Claim], float]] = queue.SimpleQueue()

    def perform(self, claims: Sequence[Claim], before: float, *, under_way: int) -> None:
        """Send claims, which were made after `before`, by `performing.clock`; with them so many are
        under way.
        """
        for _ in range(under_way - self._count):
            threading.Thread(target=self._perform_jobs, name="perform", daemon=True).start()
        self._count = max(under_way, self._count)
        for job in self._jobs_of(claims):
            self._jobs.put((job, before))

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
        """A performer's life: one job at a time."""
        while True:
            claims, before = self._jobs.get()
            for settlement in self._perform_all(claims, before):
                _tell(settlement)
                self._done(settlement)

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
            yield _parked(rest.pop(0), error)
        for claim in rest:
            try:
                yield self._perform(claim, before)
            except Exception as error:
                yield _parked(claim, error)

    def _requests(self, claims: Sequence[Claim]) -> list[Request]:
        """The next request of each; none where one of them cannot be made: which one it is shows
        when each is sent by itself.
        """
        with contextlib.suppress(Exception):
            return [self._lines[each.destination].due(each)[0] for each in claims]
        return []

    def _perform(self, claim: Claim, before: float) -> Settlement:
        line = self._lines[claim.destination]
        if claim.suspect:
            return perform_alone(line.destination, self._settings, claim, before)
        return line.perform(claim, before)


def _parked(claim: Claim, error: Exception) -> Settlement:
    log.error("performing failed", delivery=claim.delivery_id, **fault(error))
    return parked(claim, Trouble.FAULT, type(error).__name__)


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
