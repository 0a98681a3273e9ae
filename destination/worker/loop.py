"""The worker: one loop that leases what is ready, sends it, and acknowledges what came of it.

Only the loop's own thread touches the database: in one transaction it acknowledges everything that
its threads have sent since the last poll, and leases what comes next.
"""

import contextlib
import math
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from destination.errors import StoreUnavailable
from destination.model.delivery import Status
from destination.model.lease import Acknowledgement, Lease
from destination.model.verdict import Verdict
from destination.partners.base.destination import Destination
from destination.settings.tables import Settings
from destination.store import workers
from destination.store.database import Database
from destination.store.queue import poll, rate_limit
from destination.store.queue.poll import Polled
from destination.store.queue.rate_limit import Capacity, Terms
from destination.store.upkeep.retention import Ages, keep_sweeping
from destination.support import metrics
from destination.worker import channel as channels
from destination.worker.channel import Channel, open_channel
from destination.worker.pool import Pool

log = structlog.get_logger()

#: Seconds between two polls of an idle worker that hears of nothing new; and between two of a
#: worker that stops, while something is still being sent.
POLL_EVERY, STOPPING_POLL = 5.0, 0.2

#: Seconds that what was sent waits for others, to be acknowledged in one transaction with them.
GATHER = 0.004

#: Seconds to wait before the database is tried again, when it could not be used.
PAUSE = 1.0

#: Seconds that a stopping worker gives to what is being sent, before it cuts it off; and in which
#: what was cut off is acknowledged.
GRACE, LAST_ACKNOWLEDGEMENTS = 8.0, 1.5


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
        #: What it is known by among those who live, and when it last said that it does.
        self._id = uuid.uuid4().hex
        self._said_at = -math.inf
        #: What it delivers to, as it was opened: destinations may come, change and go.
        self._channels: dict[str, Channel] = {}
        #: What its threads have sent; None means that there may be something new to lease.
        self._sent: queue.SimpleQueue[Acknowledgement | None] = queue.SimpleQueue()
        self._pool = Pool(self._channels, self._sent.put)
        #: What is being sent, by lease: once a lease has ended, its delivery may be leased again
        #: before the result comes. And what was sent, and is to be acknowledged.
        self._sending: dict[tuple[str, int], Lease] = {}
        self._to_acknowledge: list[Acknowledgement] = []
        #: Whether something was queued since the last poll that is more than bulk.
        self._urgent = False
        self._stopping = threading.Event()
        self._stopped_at = 0.0

    def stop(self) -> None:
        """Lease nothing more, and let `run` return within ten seconds. Safe in a signal handler."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._stopping.set()
        self._sent.put(None)

    def wake(self) -> None:
        """Look at the destinations now: they have changed. Safe from any thread."""
        self._sent.put(None)

    def _hear(self, more_than_bulk: bool) -> None:
        """Something may have been queued."""
        self._urgent |= more_than_bulk
        self._sent.put(None)

    def run(self) -> None:
        """Deliver until `stop`; what is being sent then is finished, or cut off, and recorded."""
        end_listening = self._database.listen(self._hear)
        end_sweeping = keep_sweeping(self._database, self._ages)
        wait, overtakes = 0.0, False
        while self._goes_on():
            sends_bulk = any(lease.bulk for lease in self._sending.values())
            self._gather(wait, sends_bulk=sends_bulk)
            # What comes beside bulk does not wait for acknowledgements: it overtakes them. But
            # never in two polls in a row, so that these do not wait long either.
            overtakes = self._urgent and sends_bulk and not overtakes
            self._urgent = False
            wait = self._poll(overtakes=overtakes)
        end_listening()
        end_sweeping()
        with contextlib.suppress(StoreUnavailable):
            workers.say_stopped(self._database, self._id)
        for channel in self._channels.values():
            channel.client.close()

    def _goes_on(self) -> bool:
        if not self._stopping.is_set():
            return True
        since = time.monotonic() - self._stopped_at
        if since > GRACE:
            for channel in self._channels.values():
                channel.client.cut()
        unfinished = bool(self._sending or self._to_acknowledge)
        return unfinished and since < GRACE + LAST_ACKNOWLEDGEMENTS

    def _gather(self, wait: float, *, sends_bulk: bool) -> None:
        """Collect what was sent. Waits up to `wait` seconds for the first, then a moment for
        others, which share its transaction; not where nothing else is being sent, nor where
        something urgent came beside bulk.
        """
        longest = STOPPING_POLL if self._stopping.is_set() else min(wait, POLL_EVERY)
        with contextlib.suppress(queue.Empty):
            ack = self._sent.get(timeout=longest)
            ends = time.monotonic() + GATHER
            while True:
                if ack:
                    del self._sending[ack.lease.key]
                    self._to_acknowledge.append(ack)
                if self._urgent and sends_bulk:
                    break
                left = ends - time.monotonic() if self._sending else 0.0
                ack = self._sent.get(timeout=max(0.0, left))

    def _poll(self, *, overtakes: bool) -> float:
        """Acknowledge what was sent and lease what comes next, in one transaction. A poll that
        overtakes leases only what is no bulk, and acknowledges nothing.

        Returns the seconds until the next poll, where nothing happens before.
        """
        before = channels.clock()
        try:
            self._say_alive()
            self._open_channels()
            wanted = self._wanted(takes_bulk=not overtakes)
            acks = [] if overtakes and wanted else self._to_acknowledge
            # A look takes no lock: a worker with nothing to do is in nobody's way.
            if not (acks or overtakes) and (wait := poll.look(self._database, wanted)) > 0:
                return wait
            polled = poll.poll(self._database, acks, wanted, self._terms)
        except StoreUnavailable as error:
            log.error("store unavailable", cause=str(error))
            self._stopping.wait(PAUSE)
            return 0.0  # what was sent is acknowledged as soon as the database is back
        self._to_acknowledge = self._to_acknowledge[len(acks) :]
        _tell(acks, polled)
        _count(polled.acknowledged)
        self._sending |= {lease.key: lease for lease in polled.leases}
        self._pool.send(polled.leases, before, sending=len(self._sending))
        return 0.0 if overtakes else polled.rest

    def _say_alive(self) -> None:
        """Write down from time to time that this worker lives. Raises StoreUnavailable."""
        if time.monotonic() - self._said_at >= workers.SAY_EVERY:
            workers.say_alive(self._database, self._id)
            self._said_at = time.monotonic()

    def _open_channels(self) -> None:
        """Open the destinations that are new or changed, and close those that are gone.

        Raises StoreUnavailable.
        """
        gone = self._channels.keys() - self._destinations.keys()
        for name in gone - {lease.destination for lease in self._sending.values()}:
            self._channels.pop(name).client.close()
        new = {
            name: destination
            for name, destination in self._destinations.items()
            if name not in self._channels or self._channels[name].destination is not destination
        }
        if not new:
            return
        for name in rate_limit.register(self._database, list(new)):
            log.warning("destination held", destination=name)
        for name, destination in new.items():
            if replaced := self._channels.get(name):
                replaced.client.close()
            self._channels[name] = open_channel(destination, self._settings)

    def _wanted(self, *, takes_bulk: bool) -> list[Capacity]:
        """What there is room for, by destination."""
        if self._stopping.is_set():
            return []
        busy = Counter((lease.destination, lease.bulk) for lease in self._sending.values())
        takes_suspect = not any(lease.suspect for lease in self._sending.values())
        wanted = []
        for name in self._destinations:
            if name not in self._channels:
                continue  # it came this moment, and is opened before the next poll
            destination = self._channels[name].destination
            pacing, bulk = destination.pacing, busy[name, True]
            count = bulk + busy[name, False]
            if count < pacing.concurrency:
                wanted.append(
                    Capacity(
                        destination=name,
                        room=pacing.concurrency - count,
                        busy=count,
                        bulk=bulk,
                        takes_bulk=takes_bulk,
                        takes_suspect=takes_suspect,
                        share=self._settings.bulk_share,
                        rate=pacing.rate_limit or None,
                        most=destination.connections,
                    )
                )
        return wanted


def _tell(acks: Sequence[Acknowledgement], polled: Polled) -> None:
    """Log what was not delivered, what came too late, and what is held or released."""
    held = {ack.lease.key for ack in polled.acknowledged}
    for ack in acks:
        lease, exchange = ack.lease, ack.exchange
        about = {"delivery": lease.delivery_id, "destination": lease.destination}
        about["attempt"] = lease.attempts
        if lease.key not in held:
            log.info("late: its lease had ended", **about)
        elif ack.verdict is not Verdict.DELIVERED:
            log.warning(
                "not delivered",
                **about,
                verdict=ack.verdict.value,
                reason=ack.reason,
                **({"wait": round(ack.wait, 1)} if ack.wait else {}),
                **({} if exchange.status else {"cause": exchange.answer}),
            )
    for name, reason in polled.changes.held.items():
        log.warning("destination held", destination=name, reason=reason)
    for name in polled.changes.released:
        log.warning("destination released", destination=name)


def _count(acks: Sequence[Acknowledgement]) -> None:
    for ack in acks:
        name = ack.lease.destination
        metrics.attempts.labels(name, ack.verdict.value).inc()
        if ack.status is not Status.PENDING:
            metrics.settled.labels(name, ack.status.value).inc()
        if ack.status is Status.DELIVERED:
            waited = ack.lease.leased_at - ack.lease.created_at
            metrics.waiting.labels(name).observe(max(0.0, waited))
