"""Grouped commits: requests that come at once share a transaction, and a lone one waits for nobody.

A commit costs nearly the same for one call as for ten. Whoever comes last of those who are under
way commits for all of them; where one of them is slow, the others do not wait for it. Bulk has
small commits of its own, which begin when no other one is under way: nobody waits for them, or on
SQLite, where there is one writer, not long.
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
MAX_BULK = 25

#: Seconds that a request waits for those who are under way beside it.
GATHER = 0.004


class Intake:
    """Keeps arrivals from any number of threads."""

    def __init__(self, database: Database) -> None:
        #: How many requests are under way: whoever serves them says it.
        self.company: Callable[[], int] = lambda: 1
        self._database = database
        self._single, self._bulk = _Queue(MAX_GROUP), _Queue(MAX_BULK)

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """As `receiving.accept`, in a commit that is shared with whoever comes at the same time."""
        if not _is_bulk(arrivals):
            return self._keep(arrivals, self._single, self._bulk)
        starts = range(0, len(arrivals), MAX_BULK)
        parts = (arrivals[start : start + MAX_BULK] for start in starts)
        return [outcome for part in parts for outcome in self._keep(part, self._bulk, self._single)]

    def _keep(self, arrivals: Sequence[Arrival], queue: "_Queue", other: "_Queue") -> list[Outcome]:
        request = _Request(arrivals)
        queue.asking.add(request)
        queue.requests.append(request)
        # Who asks in the other queue does not come into this one.
        if len(queue.requests) < self.company() - len(other.asking):
            request.done.wait(GATHER)
        if not request.done.is_set():
            with queue.turn:
                while not request.done.is_set():
                    if queue is self._bulk:
                        with self._single.turn:
                            pass  # whoever came while the last bulk was kept goes first
                    self._commit(queue.next_group())
        queue.asking.remove(request)
        if request.error:
            raise request.error
        return request.outcomes

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
        self.done = threading.Event()
        self.outcomes: list[Outcome] = []
        self.error: Exception | None = None


class _Queue:
    """Requests that wait, in order, and the turn to commit for them."""

    def __init__(self, most: int) -> None:
        self.requests: deque[_Request] = deque()
        #: Those that have no answer yet, whether they wait or are being kept.
        self.asking: set[_Request] = set()
        self.turn = threading.Lock()
        self._most = most

    def next_group(self) -> list[_Request]:
        """The first, and as many behind it as fit in a commit with it."""
        group = [self.requests.popleft()]
        size = len(group[0].arrivals)
        while self.requests and size + len(self.requests[0].arrivals) <= self._most:
            group.append(self.requests.popleft())
            size += len(group[-1].arrivals)
        return group


def _is_bulk(arrivals: Sequence[Arrival]) -> bool:
    """Whether all that is to be delivered of them is bulk."""
    made = [delivery for arrival in arrivals for delivery in arrival.deliveries]
    return bool(made) and all(delivery.bulk for delivery in made)
