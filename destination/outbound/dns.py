"""Connecting: a name is looked up and its addresses are tried, all within the connection's timeout.

The system's resolver may take minutes, and cannot be told to hurry. So a thread asks it, one thread
for each name, and nobody waits longer than the timeout.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

#: One address of a name, as socket.getaddrinfo gives it: family, kind, protocol, canonical name,
#: and where to connect to, which begins with the address as text.
Address = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]

#: An option of a socket: level, name and value, as socket.setsockopt takes it.
SocketOption = tuple[int, int, int | bytes]

#: Seconds that each address of a name has at least, before the next is tried.
_SHARE = 1.0

_asking: dict[tuple[str, int], "Future[Sequence[Address]]"] = {}
_lock = threading.Lock()


def connect(
    host: str,
    port: int,
    *,
    timeout: float,
    socket_options: Sequence[SocketOption] = (),
    permit: Callable[[str], None] | None = None,
) -> socket.socket:
    """A connection to the first address of `host` that answers. `timeout` is in seconds, for the
    look-up and all addresses together. `permit` raises OSError for an address that is to be left
    out.

    Raises the last address's OSError where none answers, TimeoutError where the name is not
    resolved in time.
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


def look_up(host: str, port: int, seconds: float) -> Sequence[Address]:
    """The addresses of a name. Raises OSError, or TimeoutError where there is no answer in time."""
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


def _ask(host: str, port: int, answer: "Future[Sequence[Address]]") -> None:
    found: Sequence[Address] = []
    problem: OSError | None = None
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        problem = OSError(f"{host} is no name of a host")
    except OSError as error:
        problem = error
    with _lock:  # whoever asks from now on starts a look-up of their own
        del _asking[host, port]
    if problem:
        answer.set_exception(problem)
    else:
        answer.set_result(found)
