"""A channel is a destination as a worker has opened it: connections, limits, and how to send."""

import functools
import random
import time
from dataclasses import dataclass, field, replace
from typing import cast

from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.reason import FailureReason
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

#: How many workers in a row may die while a delivery is being sent, before it has failed.
MAX_CRASHES = 3

#: How often a destination may be held for a delivery of which it answers 403, though it took others
#: in between: then it is the delivery that it refuses, and not the credentials.
MAX_REFUSALS = 3


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A destination, opened: its client, and the settings by which answers are classified."""

    destination: Destination
    settings: Settings
    client: Client
    chance: random.Random = field(default_factory=random.Random)

    @functools.cached_property
    def batching(self) -> Batching | None:
        """The destination, where it takes many deliveries in one request."""
        return self.destination if isinstance(self.destination, Batching) else None

    def send(self, lease: Lease, before: float) -> Acknowledgement:
        """Send a lease's next request and classify the answer. One that another worker left behind
        is not sent: nobody saw its answer. The lease was made after `before`, by `clock`.
        """
        if lease.interrupted:
            return self._left_behind(lease)
        request, last = self.due(lease)
        exchange = self.exchange(request, before)
        ack = self.classify(lease, request, exchange, last=last)
        code = self.destination.actions[lease.action].code
        if request.objection and ack.verdict is Verdict.REJECTED and code:
            return replace(ack, lost_code=cast(str, json_codec.load_object(lease.payload)[code]))
        return ack

    def _left_behind(self, lease: Lease) -> Acknowledgement:
        """What becomes of a delivery whose worker died. Its request is not even made: the worker
        may have died of that.
        """
        words = "The worker that held it died, and nobody saw the answer."
        exchange = Exchange(method="", url="", trouble=Trouble.WORKER_DIED, answer=words)
        once = self.destination.actions[lease.action].fields.awards
        request = Request(method="", path="", idempotent=not once)
        ack = self.classify(lease, request, exchange, last=False)
        if ack.verdict is Verdict.RETRY and lease.crashes + 1 >= MAX_CRASHES:
            return replace(ack, status=Status.FAILED, reason=FailureReason.CRASHED, wait=0.0)
        return ack

    def due(self, lease: Lease) -> tuple[Request, bool]:
        """A lease's next request, and whether it is its last. Where a setting has taken requests
        away since the first was sent, it is the last one.
        """
        action = self.destination.actions[lease.action]
        requests = action.requests(json_codec.load_object(lease.payload))
        request = requests[min(lease.step, len(requests) - 1)]
        return request, request is requests[-1]

    def exchange(self, request: Request, before: float) -> Exchange:
        """Send it, unless half of its lease is over."""
        if clock() - before > self.settings.lease / 2:
            # Another worker may take the lane over while this request would be under way.
            words = "Half of its lease had gone before it could be sent."
            return self.client.without_answer(request, Trouble.LATE, words)
        with metrics.answering.labels(self.destination.name).time():
            return self.client.exchange(request)

    def classify(
        self, lease: Lease, request: Request, exchange: Exchange, *, last: bool
    ) -> Acknowledgement:
        """What an exchange means for the delivery: its verdict, status, and wait."""
        verdict = classify(
            exchange, idempotent=request.idempotent, ambiguous=self.settings.ambiguous
        )
        if exchange.status == 403 and not lease.probe and lease.refusals + 1 >= MAX_REFUSALS:
            verdict = Verdict.REJECTED
        reason = None if verdict is Verdict.DELIVERED else reason_of(exchange)
        if request.objection and verdict in (Verdict.DELIVERED, Verdict.REJECTED):
            reason = request.objection(exchange)
            verdict = Verdict.REJECTED if reason else Verdict.DELIVERED
        status, wait, step = verdict.status, 0.0, lease.step
        if verdict is Verdict.DELIVERED and not last:
            status, step = Status.PENDING, lease.step + 1
        if verdict is Verdict.RETRY:
            if self._tried_enough(lease):
                status = Status.FAILED
            else:
                wait = self._wait_before_retry(lease, exchange)
        return Acknowledgement(
            lease=lease,
            exchange=exchange,
            verdict=verdict,
            status=status,
            reason=reason,
            wait=wait,
            step=step,
        )

    def _tried_enough(self, lease: Lease) -> bool:
        horizon = self.destination.horizon or self.settings.retry_horizon
        return lease.leased_at - lease.first_attempt_at >= horizon

    def _wait_before_retry(self, lease: Lease, exchange: Exchange) -> float:
        asked = retry_after(exchange.retry_after, now=time.time())
        # An engine that asks for no wait at all would be asked again without end.
        return asked or backoff(lease.attempts, self.chance)


def open_channel(destination: Destination, settings: Settings) -> Channel:
    """A destination, ready to be sent to; nothing is sent yet."""
    client = Client(
        destination.url,
        headers=destination.headers(),
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        connections=destination.pacing.concurrency,
        guard=destination.guard,
    )
    return Channel(destination=destination, settings=settings, client=client)


def uncertain(lease: Lease, trouble: Trouble, words: str) -> Acknowledgement:
    """Our own program broke, at a moment that nobody knows: a person decides what became of it."""
    exchange = Exchange(method="", url="", trouble=trouble, answer=words)
    return Acknowledgement(
        lease=lease,
        exchange=exchange,
        verdict=Verdict.UNKNOWN,
        status=Status.UNCERTAIN,
        reason=trouble.value,
        step=lease.step,
    )


def clock() -> float:
    """Seconds that pass even while the machine sleeps: leases do not wait for it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
