"""Views run on the door's loop, and one that waits for its commit lets the others run.

A view is an ordinary function. It runs in a greenlet, which can be left in the middle of a call and
entered again: that costs less than a thread, and does not wait for Python's lock.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")

_making = threading.Lock()


class _View(greenlet):
    """A view that a loop runs."""


async def run(view: Callable[[], T]) -> T:
    """What `view` returns or raises; it may `wait`."""
    running = _View(view)
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
    """What `coming` brings, or raises: other views run meanwhile."""
    here = getcurrent()
    if isinstance(here, _View):
        return cast(T, cast(greenlet, here.parent).switch(coming))
    with _making:  # another server runs it, in a thread
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(coming, loop).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="wait", daemon=True).start()
    return loop
