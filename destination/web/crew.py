"""The crew: threads that call the app for the door's loop, each with one request at a time."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Crew(Generic[T]):
    """An executor with less to do: what several threads have finished wakes the loop once."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._under_way = 0
        self._jobs: SimpleQueue[tuple[asyncio.Future[T], Callable[[], T]]] = SimpleQueue()
        #: When each job came that no thread has taken yet.
        self._came: deque[float] = deque()
        self._finished: list[tuple[asyncio.Future[T], T | Exception]] = []
        self._lock = threading.Lock()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"receive-{number}", daemon=True).start()

    def busy(self) -> int:
        """How many threads have a job."""
        return min(self._under_way, self._threads)

    def behind(self) -> float:
        """For how many seconds the oldest job has waited for a thread."""
        try:
            return time.monotonic() - self._came[0]
        except IndexError:
            return 0.0

    async def do(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises, once a thread was free for it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        try:
            self._came.append(time.monotonic())
            self._jobs.put((future, job))
            return await future
        finally:
            self._under_way -= 1

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            self._came.popleft()
            outcome: T | Exception
            try:
                outcome = job()
            except Exception as error:
                outcome = error
            with self._lock:
                self._finished.append((future, outcome))
                first = len(self._finished) == 1
            if first:
                with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                    future.get_loop().call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            finished, self._finished = self._finished, []
        for future, outcome in finished:
            if future.done():  # whoever waited was cut off
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
