"""The pool: threads that send what was leased, side by side. Each lease is answered for."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import structlog

from destination.model.lease import Acknowledgement, Lease
from destination.model.request import Request
from destination.model.verdict import Trouble, Verdict
from destination.partners.base.destination import Batching
from destination.support.logs import fault
from destination.worker.channel import Channel, uncertain

log = structlog.get_logger()


class Pool:
    """As many threads as deliveries have been under way at once: none waits for another."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        done: Callable[[Acknowledgement], object],
    ) -> None:
        """`channels` are the destinations as they are open at a moment, by name; `done` is called
        with each acknowledgement, by whatever thread.
        """
        self._channels = channels
        self._done = done
        self._threads = 0
        #: Leases to send together, with the moment before which they were made.
        self._jobs: queue.SimpleQueue[tuple[list[Lease], float]] = queue.SimpleQueue()

    def send(self, leases: Sequence[Lease], before: float, *, sending: int) -> None:
        """Send leases, which were made after `before`, by `channel.clock`. `sending` is how many
        are under way, with these.
        """
        for _ in range(sending - self._threads):
            threading.Thread(target=self._work, name="send", daemon=True).start()
        self._threads = max(sending, self._threads)
        for job in self._jobs_of(leases):
            self._jobs.put((job, before))

    def _jobs_of(self, leases: Sequence[Lease]) -> list[list[Lease]]:
        """The leases, each by itself; together where their destination takes many at once."""
        together: dict[str, list[Lease]] = {}
        jobs = []
        for lease in leases:
            batching = self._channels[lease.destination].batching
            if batching and not (lease.interrupted or lease.suspect or lease.probe):
                together.setdefault(lease.destination, []).append(lease)
            else:
                jobs.append([lease])
        return [*jobs, *together.values()]

    def _work(self) -> None:
        """A thread's life: one job at a time."""
        while True:
            leases, before = self._jobs.get()
            for ack in self._send_all(leases, before):
                self._done(ack)

    def _send_all(self, leases: Sequence[Lease], before: float) -> Iterator[Acknowledgement]:
        """Several leases in as few requests as they fit in; a lone one by itself."""
        rest = list(leases)
        try:
            while len(rest) > 1 and (requests := self._requests(rest)):
                channel = self._channels[rest[0].destination]
                request, count = cast(Batching, channel.batching).batch(requests)
                exchange = channel.exchange(request, before)
                some = rest[:count]
                acks = [channel.classify(each, request, exchange, last=True) for each in some]
                if count > 1 and acks[0].verdict is Verdict.REJECTED:
                    break  # it does not tell which of them is wrong: each is sent by itself
                yield from acks
                rest = rest[count:]
        except Exception as error:
            yield _broken(rest.pop(0), error)
        for lease in rest:
            try:
                yield self._channels[lease.destination].send(lease, before)
            except Exception as error:
                yield _broken(lease, error)

    def _requests(self, leases: Sequence[Lease]) -> list[Request]:
        """The next request of each. None of them where one cannot be made: which one it is shows
        when each is sent by itself.
        """
        with contextlib.suppress(Exception):
            return [self._channels[each.destination].due(each)[0] for each in leases]
        return []


def _broken(lease: Lease, error: Exception) -> Acknowledgement:
    log.error("sending failed", delivery=lease.delivery_id, **fault(error))
    return uncertain(lease, Trouble.FAULT, type(error).__name__)
