"""A suspect is a delivery during which a worker died: it is sent by a process of its own.

Where that process dies, it died of the delivery. Where a worker dies, it may have been anybody's
doing, and counts against nobody. So a poisonous delivery takes one worker down, and what was merely
under way when somebody killed a worker is never set aside for it.
"""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

from destination.model.lease import Acknowledgement, Lease
from destination.model.verdict import Trouble
from destination.partners.base.destination import Destination
from destination.settings.tables import Settings
from destination.worker.channel import clock, open_channel, uncertain

#: Each process is a copy of a quiet one that has loaded all it needs: some 20 ms.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["__main__", __name__])

#: The library's record of its processes is not made for many threads.
_recording = threading.Lock()


def send_alone(
    destination: Destination, settings: Settings, lease: Lease, before: float
) -> Acknowledgement:
    """What became of a lease, sent where it can take nobody down. As `Channel.send`.

    What does not end within its lease is left as a worker leaves it that dies.
    """
    # Until it says more, nobody knows what it did.
    told = uncertain(lease, Trouble.CRASHED, "The process that did nothing but this died of it.")
    with _process(destination, settings, lease, before) as result:
        ends = before + settings.lease
        with contextlib.suppress(EOFError):
            while True:  # first it tells what its death would mean, then what became of it
                if not result.poll(max(0.0, ends - clock())):
                    return replace(told, lease=replace(lease, token=""))  # acknowledges nothing
                told = result.recv()
    return told


@contextlib.contextmanager
def _process(
    destination: Destination, settings: Settings, lease: Lease, before: float
) -> Iterator[Connection]:
    """A process that sends one lease, and where it tells what came of it; ended with the block."""
    result, tells = _processes.Pipe(duplex=False)
    process = _processes.Process(
        target=_perform, args=(tells, destination, settings, lease, before), daemon=True
    )
    with result:
        with tells, _recording:
            process.start()
        try:
            yield result
        finally:
            with _recording:
                if clock() >= before + settings.lease:
                    process.kill()
                process.join()


def _perform(
    tells: Connection, destination: Destination, settings: Settings, lease: Lease, before: float
) -> None:
    """The life of such a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told to all; it is for the worker
    try:
        channel = open_channel(destination, settings)
        signal.signal(signal.SIGTERM, lambda *_: channel.client.cut())
        tells.send(channel.foresee(lease))
        ack = channel.send(lease, before)
    except Exception as error:
        ack = uncertain(lease, Trouble.FAULT, type(error).__name__)
    with contextlib.suppress(OSError):  # the worker was killed meanwhile
        tells.send(ack)
