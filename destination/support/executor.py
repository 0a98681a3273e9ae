"""Threads that do what would stop a loop, and that no ending process waits for."""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

#: What waits for a thread: who is told, and the job; None ends a thread.
_Jobs = SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None]


class DaemonThreads:
    """An executor of daemon threads. A thread that hangs does not keep its process from ending."""

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: _Jobs = SimpleQueue()
        self._names = [f"{name}-{number}" for number in range(threads)]
        weakref.finalize(self, _dismiss, self._jobs, threads)

    def waiting(self) -> int:
        """How many jobs no thread has begun."""
        return self._jobs.qsize()

    async def do(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises, once a thread was free for it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((future, job))
        if self._names:  # a thread is there when it is needed
            name = self._names.pop(0)
            threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True).start()
        return await future


def _work(jobs: _Jobs) -> None:
    while found := jobs.get():
        future, job = found
        try:
            told = partial(_tell, future, job(), None)
        except BaseException as error:  # whatever it was: somebody waits
            told = partial(_tell, future, None, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            future.get_loop().call_soon_threadsafe(told)
        del found, future, job, told  # a thread that waits keeps nothing of its last job


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # whoever waited was cut off
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.set_exception(RuntimeError(f"A job ended with {type(error).__name__}."))


def _dismiss(jobs: _Jobs, threads: int) -> None:
    for _ in range(threads):
        jobs.put(None)
