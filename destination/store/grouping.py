"""Grouped commits: requests that come at once share a transaction, and a lone one waits for nobody.

A commit costs nearly the same for one call as for ten. Whoever comes last of those who are under
way commits for all of them; where one of them is slow, the others do not wait for it. Bulk has
commits of its own, small ones, and every other one at most: nobody waits long for it.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from destination.database import Database
from destination.errors import StoreUnavailable
from destination.routing import Arrival
from destination.store.receiving import Outcome, accept

#: Calls that share a commit, at most: so that nobody waits long for others.
MAX_GROUP = 1000

#: The same of bulk. A larger request of bulk is kept in several commits: where one of them fails,
#: the sender sends all again, and what is kept already is a duplicate.
MAX_BULK = 100

#: Seconds that a request waits for those who are under way beside it.
GATHER = 0.004


class Intake:
    """Keeps arrivals from any number of threads."""

    def __init__(self, database: Database) -> None:
        #: How many requests are under way: whoever serves them says it.
        self.company: Callable[[], int] = lambda: 1
        self._database = database
        self._queues: dict[bool, deque[_Request]] = {False: deque(), True: deque()}
        #: Whether the last commit was of bulk.
        self._bulk = True
        self._turn = threading.Lock()

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """As `receiving.accept`, in a commit that is shared with whoever comes at the same time."""
        if len(arrivals) > MAX_BULK and _is_bulk(arrivals):
            starts = range(0, len(arrivals), MAX_BULK)
            return [o for start in starts for o in self._keep(arrivals[start : start + MAX_BULK])]
        return self._keep(arrivals)

    def _keep(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        request = _Request(arrivals)
        self._queues[request.bulk].append(request)
        if sum(map(len, self._queues.values())) < self.company():
            request.done.wait(GATHER)
        if not request.done.is_set():
            with self._turn:
                while not request.done.is_set():
                    self._commit(self._next_group())
        if request.error:
            raise request.error
        return request.outcomes

    def _next_group(self) -> list["_Request"]:
        turn = not self._bulk
        self._bulk = turn if self._queues[turn] else not turn
        queue = self._queues[self._bulk]
        group = [queue.popleft()]
        size, most = len(group[0].arrivals), MAX_BULK if self._bulk else MAX_GROUP
        while queue and size + len(queue[0].arrivals) <= most:
            group.append(queue.popleft())
            size += len(group[-1].arrivals)
        return group

    def _commit(self, group: Sequence["_Request"]) -> None:
        try:
            outcomes = accept(
                self._database, [arrival for request in group for arrival in request.arrivals]
            )
        except Exception as error:
            if len(group) > 1 and not isinstance(error, StoreUnavailable):
                for request in group:  # one of them cannot be kept: it harms no other
                    self._commit([request])
                return
            for request in group:
                request.error = error
                request.done.set()
            return
        for request in group:
            count = len(request.arrivals)
            request.outcomes, outcomes = outcomes[:count], outcomes[count:]
            request.done.set()


class _Request:
    """The arrivals of one request, and what becomes of them."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.bulk = _is_bulk(arrivals)
        self.done = threading.Event()
        self.outcomes: list[Outcome] = []
        self.error: Exception | None = None


def _is_bulk(arrivals: Sequence[Arrival]) -> bool:
    """Whether all that is to be delivered of them is bulk."""
    made = [delivery for arrival in arrivals for delivery in arrival.deliveries]
    return bool(made) and all(delivery.bulk for delivery in made)
