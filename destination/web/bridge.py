"""The bridge between Flask's views, which are plain functions, and the event loop of the server.

    loop ── run(view) ─┐               ┌─ runs others ─┐             ┌─ sends the answer ──▶
    view               └─ wait(commit)─┘               └─ goes on ───┘

A view that waits, mostly for its commit, gives the loop back and needs no thread. It runs in a
greenlet, as SQLAlchemy's asyncio layer does it: a call stack that can be left and entered again.
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

threads = ThreadPoolExecutor(16, "view")  # for views that ask for more, and for large bodies


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
    if isinstance(here := getcurrent(), _View):
        return cast(T, cast(greenlet, here.parent).switch(coming))
    return coming.result()


def in_thread(view: Callable[P, T]) -> Callable[P, T]:
    """A view that asks the database for more than a commit, and so is not run by the loop."""

    @functools.wraps(view)
    def run_in_thread(*args: P.args, **kwargs: P.kwargs) -> T:
        if isinstance(getcurrent(), _View):
            call = functools.partial(view, *args, **kwargs)
            return wait(threads.submit(copy_context().run, call))
        return view(*args, **kwargs)  # it has a thread: to wait for another might block them all

    return run_in_thread
