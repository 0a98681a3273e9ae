"""Performing: the request of a claim is sent, and its exchange judged."""

import functools
import random
import time
from dataclasses import dataclass, field, replace

from destination.model.delivery import Status
from destination.model.lease import Claim, Settlement
from destination.model.request import Request
from destination.model.verdict import (
    Exchange,
    Trouble,
    Verdict,
    backoff,
    classify,
    reason_of,
    retry_after,
)
from destination.outbound.client import Client
from destination.partners.base.destination import Batching, Destination
from destination.settings.tables import Settings
from destination.support import json_codec, metrics

#: How many processes that performed nothing else a delivery may take down before it is set aside.
MAX_CRASHES = 2

#: How often a destination may be held for a delivery of which it answers 403, though it took others
#: in between: then it is the delivery that it refuses, and not the credentials.
MAX_REFUSALS = 3


@dataclass(frozen=True, kw_only=True)
class Line:
    """A destination as it was opened: connections, and how it is to be used."""

    destination: Destination
    settings: Settings
    client: Client
    chance: random.Random = field(default_factory=random.Random)

    @functools.cached_property
    def batching(self) -> Batching | None:
        """The destination, where it takes many deliveries in one request."""
        return self.destination if isinstance(self.destination, Batching) else None

    def perform(self, claim: Claim, before: float) -> Settlement:
        """Send a claim's next request, and judge what came of it; of one that another worker left
        behind, judge only that. The claim was made after `before`, by `clock`.
        """
        request, last = self.due(claim)
        if claim.interrupted:
            words = "The worker that held it died, and nobody saw the answer."
            exchange = self.client.without_answer(request, Trouble.WORKER_DIED, words)
        else:
            exchange = self.exchange(request, before)
        settlement = self.judge(claim, request, exchange, last=last)
        code = self.destination.actions[claim.action].code
        if request.objection and settlement.verdict is Verdict.REJECTED and code:
            return replace(settlement, lost_code=json_codec.loads(claim.payload)[code])
        return settlement

    def foresee(self, claim: Claim) -> Settlement:
        """What became of a claim, should the process die that is about to perform it alone."""
        request, last = self.due(claim)
        words = "The process that did nothing but this died of it."
        exchange = self.client.without_answer(request, Trouble.CRASHED, words)
        return self.judge(claim, request, exchange, last=last)

    def due(self, claim: Claim) -> tuple[Request, bool]:
        """A claim's next request, and whether it is the last one: that also where a setting has
        taken away the one before it since.
        """
        action = self.destination.actions[claim.action]
        requests = action.requests(json_codec.loads(claim.payload))
        request = requests[min(claim.step, len(requests) - 1)]
        return request, request is requests[-1]

    def exchange(self, request: Request, before: float) -> Exchange:
        """Send it, unless its claim is too old."""
        if clock() - before > self.settings.lease / 2:
            # Another worker may take the lane over while this request would be under way.
            words = "Half of its lease had gone before it could be sent."
            return self.client.without_answer(request, Trouble.LATE, words)
        with metrics.answering.labels(self.destination.name).time():
            return self.client.exchange(request)

    def judge(
        self, claim: Claim, request: Request, exchange: Exchange, *, last: bool
    ) -> Settlement:
        """What the exchange means for the delivery."""
        verdict = classify(
            exchange, idempotent=request.idempotent, ambiguous=self.settings.ambiguous
        )
        if exchange.status == 403 and not claim.probe and claim.refusals + 1 >= MAX_REFUSALS:
            verdict = Verdict.REJECTED
        reason = None if verdict is Verdict.DELIVERED else reason_of(exchange)
        if request.objection and verdict in (Verdict.DELIVERED, Verdict.REJECTED):
            reason = request.objection(exchange)
            verdict = Verdict.REJECTED if reason else Verdict.DELIVERED
        status, wait, step = verdict.status, 0.0, claim.step
        if verdict is Verdict.DELIVERED and not last:
            status, step = Status.PENDING, claim.step + 1
        if verdict is Verdict.RETRY:
            if self._tried_enough(claim, exchange):
                status = Status.FAILED
            else:
                wait = self._wait_before_retry(claim, exchange)
        return Settlement(
            claim=claim,
            exchange=exchange,
            verdict=verdict,
            status=status,
            reason=reason,
            wait=wait,
            step=step,
        )

    def _tried_enough(self, claim: Claim, exchange: Exchange) -> bool:
        if exchange.trouble is Trouble.CRASHED and claim.crashes + 1 >= MAX_CRASHES:
            return True
        horizon = self.destination.horizon or self.settings.retry_horizon
        return claim.claimed_at - claim.first_attempt_at >= horizon

    def _wait_before_retry(self, claim: Claim, exchange: Exchange) -> float:
        asked = retry_after(exchange.retry_after, now=time.time())
        # An engine that asks for no wait at all would be asked again without end.
        return asked or backoff(claim.attempts, self.chance)


def open_line(destination: Destination, settings: Settings) -> Line:
    """A destination, ready to be sent to; nothing is sent yet."""
    client = Client(
        destination.url,
        headers=destination.headers(),
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        connections=destination.pacing.concurrency,
        guard=destination.guard,
    )
    return Line(destination=destination, settings=settings, client=client)


def parked(claim: Claim, trouble: Trouble, words: str) -> Settlement:
    """Our own program broke, at a moment that nobody knows: somebody looks before it is sent
    again.
    """
    exchange = Exchange(method="", url="", trouble=trouble, answer=words)
    return Settlement(
        claim=claim,
        exchange=exchange,
        verdict=Verdict.UNKNOWN,
        status=Status.UNCERTAIN,
        reason=trouble.value,
        step=claim.step,
    )


def clock() -> float:
    """Seconds that pass even while the machine sleeps: leases do not wait for it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
