"""Grouped commits: requests that come at once share a transaction, and a lone one waits for nobody.

A commit costs nearly the same for one call as for ten. While one is made, those who come wait for
the next, and share it. Bulk has small commits of its own, which begin when no other one is under
way: nobody waits for them, or on SQLite, where there is one writer, not long.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from functools import partial

from destination.errors import Busy, StoreUnavailable
from destination.model.arrival import Arrival, Receipt
from destination.store.database import Database
from destination.store.queue.enqueue import enqueue
from destination.support.executor import DaemonThreads

#: Calls that share a commit, at most: so that nobody waits long for others; and the same of bulk.
#: A larger request is kept in several commits: where one of them fails, the sender sends all again,
#: and what is kept already is a duplicate.
MAX_GROUP, MAX_BULK = 500, 25

#: Seconds that a request may have waited for its commit while others are taken in behind it; and
#: the same of bulk.
PATIENCE, BULK_PATIENCE = 1.0, 5.0

#: A sender who calls again within so many seconds of an answer calls as soon as it has one.
AGAIN = 0.001

#: Seconds for which a commit waits for those who do, at most.
GATHER = 0.005


class GroupCommit:
    """Keeps the arrivals of all the requests that one loop serves."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._single = _Queue(most=MAX_GROUP, patience=PATIENCE)
        self._bulk = _Queue(most=MAX_BULK, patience=BULK_PATIENCE)
        self._crew = DaemonThreads(2, "commit")

    def is_behind(self) -> bool:
        """Whether what is no bulk has waited too long for its commit to take in more behind it."""
        return self._single.is_behind()

    async def enqueue(self, arrivals: Sequence[Arrival]) -> list[Receipt]:
        """As `enqueue.enqueue`, in a commit that is shared with whoever comes at the same time.

        Raises StoreUnavailable; Busy where more comes than can be kept.
        """
        queue = self._bulk if _is_bulk(arrivals) else self._single
        if queue.is_behind():
            raise Busy
        outcomes = []
        for start in range(0, len(arrivals), queue.most):
            outcomes += await self._keep(arrivals[start : start + queue.most], queue)
        return outcomes

    async def _keep(self, arrivals: Sequence[Arrival], queue: "_Queue") -> list[Receipt]:
        request = _Request(arrivals)
        queue.add(request)
        if queue.committing is None:
            queue.committing = asyncio.create_task(self._commit_all(queue))
        return await request.outcomes

    async def _commit_all(self, queue: "_Queue") -> None:
        """One commit after another, until nobody waits."""
        try:
            while queue.requests:
                if queue is self._bulk:
                    async with self._single.turn:
                        pass  # those who came while the last bulk was kept go first
                async with queue.turn:
                    await queue.gather()
                    group = queue.next_group()
                    await self._commit(group)
                    queue.expect(len(group))
        finally:
            queue.committing = None

    async def _commit(self, group: Sequence["_Request"]) -> None:
        arrivals = [arrival for request in group for arrival in request.arrivals]
        try:
            outcomes = await self._crew.do(partial(enqueue, self._database, arrivals))
        except Exception as error:
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for request in group:  # one of them cannot be kept: it harms no other
                    await self._commit([request])
                return
            for request in group:
                request.fail(error)
            return
        for request in group:
            count = len(request.arrivals)
            request.end(outcomes[:count])
            outcomes = outcomes[count:]


class _Request:
    """The arrivals of one request, and what becomes of them."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.came = time.monotonic()
        self.outcomes: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()

    def end(self, outcomes: list[Receipt]) -> None:
        if not self.outcomes.done():  # whoever asked was cut off
            self.outcomes.set_result(outcomes)

    def fail(self, error: Exception) -> None:
        if not self.outcomes.done():
            self.outcomes.set_exception(error)


class _Queue:
    """Requests that wait, in order, and the turn to commit for them."""

    def __init__(self, *, most: int, patience: float) -> None:
        self.requests: deque[_Request] = deque()
        self.turn = asyncio.Lock()
        self.committing: asyncio.Task[None] | None = None
        self.most, self._patience = most, patience
        #: How many requests there will be if all come again who were answered last, and when.
        self._expected = 0
        self._answered_at = 0.0
        self._all_came = asyncio.Event()

    def is_behind(self) -> bool:
        """Whether the oldest has waited so long that others would wait too long behind it."""
        return bool(self.requests) and time.monotonic() - self.requests[0].came > self._patience

    def add(self, request: _Request) -> None:
        self.requests.append(request)
        if len(self.requests) >= self._expected:
            self._all_came.set()

    def expect(self, answered: int) -> None:
        """So many requests were answered just now."""
        self._expected = len(self.requests) + answered
        self._answered_at = time.monotonic()

    async def gather(self) -> None:
        """Those who were answered a moment ago and come again at once are waited for, as long as
        one of them comes after the other.
        """
        began = time.monotonic()
        if began - self._answered_at > AGAIN:
            return
        came = 0
        while came < len(self.requests) < self._expected and time.monotonic() - began < GATHER:
            came = len(self.requests)
            self._all_came.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    await self._all_came.wait()

    def next_group(self) -> list[_Request]:
        """The first, and as many behind it as fit in a commit with it."""
        group = [self.requests.popleft()]
        size = len(group[0].arrivals)
        while self.requests and size + len(self.requests[0].arrivals) <= self.most:
            group.append(self.requests.popleft())
            size += len(group[-1].arrivals)
        return group


def _is_bulk(arrivals: Sequence[Arrival]) -> bool:
    """Whether all that is to be delivered of them is bulk."""
    made = [delivery for arrival in arrivals for delivery in arrival.deliveries]
    return bool(made) and all(delivery.bulk for delivery in made)
