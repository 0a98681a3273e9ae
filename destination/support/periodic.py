"""Looking from time to time, in a thread that goes on whatever a look meets."""

import threading
from collections.abc import Callable

import structlog

from destination.errors import StoreUnavailable
from destination.support.logs import fault

log = structlog.get_logger()

#: Seconds for which the end waits for a look that is under way: one that waits for the database
#: is left.
LEAVE = 2.0


def every(
    seconds: float,
    look: Callable[[threading.Event], object],
    *,
    name: str,
    first: float | None = None,
) -> Callable[[], None]:
    """Call `look` after so many seconds, the `first` ones where they differ, and again and again
    until what is returned is called. It is given what is set then, for one that takes long.

    What fails is logged by the thread's `name`, and tried again.
    """
    ended = threading.Event()

    def run() -> None:
        rest = seconds if first is None else first
        while not ended.wait(rest):
            rest = seconds
            try:
                look(ended)
            except StoreUnavailable as error:
                log.error("store unavailable", looking=name, cause=str(error))
            except Exception as error:  # whatever it is: it must go on looking
                log.error("could not look", looking=name, **fault(error))

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join(LEAVE)

    return end
