"""A process of ours beside another one: it stops with it, even where that is killed.

`python -m destination.support.supervisor worker` is `destination worker`, until its standard
input ends.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping


def start(command: str, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command of ours, given without `destination`, in an environment. It stops as at
    SIGTERM when this process ends, however it ends.
    """
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", __name__, *command.split()],
        env=environment,
        stdin=subprocess.PIPE,  # nothing is written: only this process holds its other end
    )


def _stop_with_it() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_it, name="supervisor", daemon=True).start()
    runpy.run_module("destination", run_name="__main__")
