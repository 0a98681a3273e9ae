"""The bridge between Flask's views, which are plain functions, and the event loop of the server.

A view that waits, mostly for its commit, gives the loop back and needs no thread:

    loop ── run(view) ─┐             ┌─ runs others ─┐            ┌─ sends the answer ──▶
                       ▼             │               ▼            │
    view               └─ wait(commit)               goes on, returns

The view runs in a greenlet: a call stack that can be left in the middle, and entered again there.
SQLAlchemy's asyncio layer runs its ORM so, as `greenlet_spawn`.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar, cast

from greenlet import getcurrent, greenlet

P = ParamSpec("P")
T = TypeVar("T")

#: For what would stop the loop: views that ask the database for more than a commit, large bodies.
threads = ThreadPoolExecutor(16, "view")


class _View(greenlet):
    """A view that a loop runs."""


async def run(view: Callable[[], T]) -> T:
    """What `view` returns or raises. It may `wait`."""
    running = _View(view)
    coming = running.switch()
    while not running.dead:
        try:
            result = await asyncio.wrap_future(coming)
        except BaseException as error:
            coming = running.throw(error)
        else:
            coming = running.switch(result)
    return cast(T, coming)


def wait(coming: Future[T]) -> T:
    """What `coming` brings, or raises. Where a loop runs this view, others run meanwhile."""
    here = getcurrent()
    if isinstance(here, _View):
        return cast(T, cast(greenlet, here.parent).switch(coming))
    return coming.result()


def in_thread(view: Callable[P, T]) -> Callable[P, T]:
    """A view that asks the database for more than a commit, and so is not run by the loop."""

    @functools.wraps(view)
    def run_in_thread(*args: P.args, **kwargs: P.kwargs) -> T:
        call = functools.partial(view, *args, **kwargs)
        return wait(threads.submit(copy_context().run, call))

    return run_in_thread
