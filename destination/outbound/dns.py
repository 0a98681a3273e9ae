"""Connecting: a name is looked up and its addresses are tried, all within the connection's timeout.

A resolver has patience of its own, for minutes where servers are many. It is asked in a thread, one
for each name, so that nobody waits longer than was said.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

#: What is known of one address of a name, as socket.getaddrinfo tells it.
Address = tuple[Any, ...]

#: Seconds that each address of a name has at least, before the next is tried.
_SHARE = 1.0

_asking: dict[tuple[str, int], "Future[list[Address]]"] = {}
_lock = threading.Lock()


def connect(
    host: str,
    port: int,
    *,
    timeout: float,
    socket_options: Sequence[Any] = (),
    permit: Callable[[str], None] | None = None,
) -> socket.socket:
    """A connection to the first address of `host` that answers, and that `permit` does not refuse
    by an OSError; `timeout` seconds are for all of it.

    Raises OSError where none answers: the last one's; TimeoutError where the name is not resolved.
    """
    ends = time.monotonic() + timeout
    found = look_up(host, port, timeout)
    problem = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        connection = socket.socket(family, kind, protocol)
        try:
            if permit:
                permit(str(address[0]))
            left = ends - time.monotonic()
            connection.settimeout(max(0.001, min(left, max(left / (len(found) - tried), _SHARE))))
            for option in socket_options:
                connection.setsockopt(*option)
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            connection.settimeout(timeout)
            return connection
    raise problem


def look_up(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a name. Raises OSError; TimeoutError where nobody knows in time."""
    with _lock:
        answer = _asking.get((host, port))
        if answer is None:
            answer = _asking[host, port] = Future()
            threading.Thread(
                target=_ask, args=(host, port, answer), name="look up", daemon=True
            ).start()
    with contextlib.suppress(TimeoutError):
        return answer.result(seconds)
    raise TimeoutError(f"{host} was not resolved in {seconds:g} seconds")


def _ask(host: str, port: int, answer: "Future[list[Address]]") -> None:
    found: list[Address] = []
    problem: OSError | None = None
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        problem = OSError(f"{host} is no name of a host")
    except OSError as error:
        problem = error
    with _lock:  # who asks from now on gets an answer of its own
        del _asking[host, port]
    if problem:
        answer.set_exception(problem)
    else:
        answer.set_result(found)
