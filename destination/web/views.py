"""Views run on the door's loop, and one that waits for its commit lets the others run.

A view is an ordinary function. It runs in a greenlet, which can be left in the middle of a call and
entered again: that costs less than a thread, and does not wait for Python's lock.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


async def run(view: Callable[[], T]) -> T:
    """What `view` returns or raises; it may `wait`."""
    running = greenlet(view)
    found = running.switch()
    while not running.dead:
        try:
            brought = await found
        except BaseException as error:
            found = running.throw(error)
        else:
            found = running.switch(brought)
    return cast(T, found)


def wait(coming: Coroutine[Any, Any, T]) -> T:
    """What `coming` brings, or raises: other views run meanwhile. Where none is run by a loop, as
    in a test's client, there are no others.
    """
    loop = getcurrent().parent
    return asyncio.run(coming) if loop is None else cast(T, loop.switch(coming))
