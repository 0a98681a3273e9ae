"""Group commit: requests that come at once share a transaction, and a lone one waits for nobody.

A commit costs nearly the same for one call as for ten. The first request that comes is committed as
soon as the event loop has read those that came with it: no timer is in it. Those that come
meanwhile are in the next commit, together.

Bulk has commits of its own, small ones. Each begins when a commit of the others has ended, so that
those wait for bulk only on SQLite, where there is one writer, and not long.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from destination.errors import Busy, StoreUnavailable
from destination.model.arrival import Arrival, Receipt
from destination.store.database import Database
from destination.store.queue.enqueue import enqueue

#: Calls that share a commit, at most, so that nobody waits long for others; and the same of bulk.
MAX_GROUP, MAX_BULK = 500, 25

#: Seconds that a request may have waited for its commit while others are taken in behind it; and
#: the same of bulk. PostgreSQL takes one second to end a deadlock, as between two receivers that
#: are sent the same calls in another order: that is no reason yet to send others away.
PATIENCE, BULK_PATIENCE = 1.5, 5.0

#: Rounds of the event loop in which nobody joins, before a commit begins. A request takes two of
#: them: in one it is read, in the next its view runs.
QUIET_ROUNDS = 3


class GroupCommit:
    """Keeps the arrivals of all requests of a process. Safe to call from any thread."""

    def __init__(self, database: Database) -> None:
        self._ordinary = _Queue(database, most=MAX_GROUP, patience=PATIENCE)
        self._bulk = _Queue(database, most=MAX_BULK, patience=BULK_PATIENCE, after=self._ordinary)

    def is_behind(self) -> bool:
        """Whether what is no bulk has waited too long for its commit to take in more behind it."""
        return self._ordinary.is_behind()

    def parts(self, arrivals: Sequence[Arrival]) -> Iterator[Sequence[Arrival]]:
        """A request's arrivals in parts that fit in a commit each. Where the second of them cannot
        be kept the sender sends all again, and the first is a duplicate.
        """
        most = self._queue_of(arrivals).most
        return (arrivals[start : start + most] for start in range(0, len(arrivals), most))

    def enqueue(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        """As `enqueue.enqueue`, in a commit that is shared with others who come at the same time.

        Raises Busy where more comes than can be kept; the future raises StoreUnavailable.
        """
        queue = self._queue_of(arrivals)
        if queue.is_behind():
            raise Busy
        return queue.add(arrivals)

    def _queue_of(self, arrivals: Sequence[Arrival]) -> "_Queue":
        made = [delivery for arrival in arrivals for delivery in arrival.deliveries]
        return self._bulk if made and all(each.bulk for each in made) else self._ordinary


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread asks
        return None


class _Request:
    """The arrivals of one request, and what becomes of them."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.came_at = time.monotonic()
        self.receipts: Future[list[Receipt]] = Future()


class _Queue:
    """Requests that wait for a commit, in their order, and the thread that commits them."""

    def __init__(
        self, database: Database, *, most: int, patience: float, after: "_Queue | None" = None
    ) -> None:
        """`after`: the queue of which a commit ends before each of this one's begins."""
        self.most = most
        self._database = database
        self._patience = patience
        self._after = after
        self._waiting: deque[_Request] = deque()
        self._commits = 0
        self._committing = False
        #: Guards the four above; told when a commit has ended.
        self._changed = threading.Condition()
        self._thread = ThreadPoolExecutor(1, "commit")

    def is_behind(self) -> bool:
        """Whether the first has waited so long that others would wait too long behind it."""
        with self._changed:
            first = self._waiting[0] if self._waiting else None
        return first is not None and time.monotonic() - first.came_at > self._patience

    def add(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        request = _Request(arrivals)
        with self._changed:
            self._waiting.append(request)
            begins, self._committing = not self._committing, True
        if begins:
            self._begin_commit(_running_loop())
        return request.receipts

    def _begin_commit(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Commit, once `loop`, where one runs the views, has nobody more who would join."""
        if loop is None:
            self._thread.submit(self._commit_next, loop)
        else:
            loop.call_soon(self._look, loop, len(self._waiting), QUIET_ROUNDS)

    def _look(self, loop: asyncio.AbstractEventLoop, before: int, rounds: int) -> None:
        """Look in each round of the loop whether more have come, until some rounds are quiet."""
        waiting = len(self._waiting)
        if waiting > before:
            rounds = QUIET_ROUNDS
        if rounds == 0:
            self._thread.submit(self._commit_next, loop)
        else:
            loop.call_soon(self._look, loop, waiting, rounds - 1)

    def _commit_next(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Commit those who wait now; begin the next commit where others have come meanwhile."""
        if self._after:
            self._after.wait_for_commit()
        self._commit(self._next_group())
        with self._changed:
            self._commits += 1
            self._committing = bool(self._waiting)
            self._changed.notify_all()
            if not self._waiting:
                return
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._begin_commit, loop)
                return
        except RuntimeError:  # it is closed
            pass
        self._thread.submit(self._commit_next, None)

    def wait_for_commit(self) -> None:
        """Until the commit that is being made has ended, where one is."""
        with self._changed:
            before = self._commits
            self._changed.wait_for(lambda: not self._committing or self._commits > before)

    def _next_group(self) -> list[_Request]:
        """The first request, and as many behind it as fit in a commit with it."""
        group: list[_Request] = []
        size = 0
        with self._changed:
            while self._waiting and (
                not group or size + len(self._waiting[0].arrivals) <= self.most
            ):
                request = self._waiting.popleft()
                if request.receipts.set_running_or_notify_cancel():  # or nobody hears of it
                    group.append(request)
                    size += len(request.arrivals)
        return group

    def _commit(self, group: Sequence[_Request]) -> None:
        arrivals = [arrival for request in group for arrival in request.arrivals]
        try:
            receipts = enqueue(self._database, arrivals)
        except BaseException as error:  # whatever it was, somebody waits
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for request in group:  # one of them cannot be kept: it harms no other
                    self._commit([request])
                return
            for request in group:
                request.receipts.set_exception(error)
            return
        for request in group:
            count = len(request.arrivals)
            request.receipts.set_result(receipts[:count])
            receipts = receipts[count:]
