"""A suspect is a delivery during which a worker died: it is performed in a process of its own.

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

from destination.model.lease import Claim, Settlement
from destination.model.verdict import Trouble
from destination.partners.base.destination import Destination
from destination.settings.tables import Settings
from destination.worker.attempt import clock, open_line, parked

#: Each process is a copy of a quiet one that has loaded all it needs: some 20 ms.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["__main__", __name__])

#: The library's record of its processes is not made for many threads.
_recording = threading.Lock()


def perform_alone(
    destination: Destination, settings: Settings, claim: Claim, before: float
) -> Settlement:
    """What became of a claim, performed where it can take nobody down. As `Line.perform`.

    What does not end within its lease is left as a worker leaves it that dies.
    """
    # Until it says more, nobody knows what it did.
    told = parked(claim, Trouble.CRASHED, "The process that did nothing but this died of it.")
    with _process(destination, settings, claim, before) as result:
        ends = before + settings.lease
        with contextlib.suppress(EOFError):
            for _ in range(2):  # what it foresees, and what became of it
                if not result.poll(max(0.0, ends - clock())):
                    return replace(told, claim=replace(claim, token=""))  # settles nothing
                told = result.recv()
    return told


@contextlib.contextmanager
def _process(
    destination: Destination, settings: Settings, claim: Claim, before: float
) -> Iterator[Connection]:
    """A process that performs a claim, and where it tells what came of it; ended with the block."""
    result, tells = _processes.Pipe(duplex=False)
    process = _processes.Process(
        target=_perform, args=(tells, destination, settings, claim, before), daemon=True
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
    tells: Connection, destination: Destination, settings: Settings, claim: Claim, before: float
) -> None:
    """The life of such a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is told to all; it is for the worker
    try:
        line = open_line(destination, settings)
        signal.signal(signal.SIGTERM, lambda *_: line.client.cut())
        tells.send(line.foresee(claim))
        settlement = line.perform(claim, before)
    except Exception as error:
        settlement = parked(claim, Trouble.FAULT, type(error).__name__)
    with contextlib.suppress(OSError):  # the worker was killed meanwhile
        tells.send(settlement)
