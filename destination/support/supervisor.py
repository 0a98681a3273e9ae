"""Processes of ours beside another one: they stop with it, even where that is killed.

`python -m destination.support.supervisor worker` is `destination worker`, until its standard
input ends.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

#: Seconds between two looks whether one has died.
LOOK_EVERY = 0.2

#: Seconds before one that died is started anew: the first time, and at most. Each further time it
#: is twice as long, until one has lived for as long as the longest wait.
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0

#: Seconds that they have to stop.
STOP_WITHIN = 10.0


@dataclass(kw_only=True)
class Child:
    """One process, which is started anew when it dies."""

    #: A command of ours, given without `destination`, and its environment.
    command: str
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    started_at: float
    #: Seconds that it waits the next time that it dies.
    wait: float
    #: When it is started anew; None while it lives.
    again_at: float | None = None


class Supervisor:
    """Starts processes with the block, starts anew what dies, and stops them with the block."""

    def __init__(self, commands: Mapping[str, Mapping[str, str]]) -> None:
        """`commands` are ours, given without `destination`, each with its environment."""
        self._commands = commands
        self.children: list[Child] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> "Supervisor":
        self.children = [
            Child(
                command=command,
                environment=environment,
                process=start(command, environment),
                started_at=time.monotonic(),
                wait=FIRST_WAIT,
            )
            for command, environment in self._commands.items()
        ]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for child in self.children:
            child.process.terminate()
        for child in self.children:
            try:
                child.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                child.process.kill()
            _let_go(child)

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            for child in self.children:
                self._tend(child, time.monotonic())

    def _tend(self, child: Child, now: float) -> None:
        """Start a child anew that has died, once its wait is over."""
        if child.again_at is None:
            if child.process.poll() is None:
                return
            wait = FIRST_WAIT if now - child.started_at >= LONGEST_WAIT else child.wait
            _let_go(child)
            child.again_at, child.wait = now + wait, min(2 * wait, LONGEST_WAIT)
            how = _how_it_ended(child.process.returncode)
            log.error("ended, and is started again", command=_name(child), how=how, wait=wait)
        elif now >= child.again_at:
            child.process = start(child.command, child.environment)
            child.started_at, child.again_at = now, None
            log.info("started again", command=_name(child), pid=child.process.pid)


def start(command: str, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command of ours, given without `destination`, in an environment. It stops as at
    SIGTERM when this process ends, however it ends.
    """
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", __name__, *command.split()],
        env=environment,
        stdin=subprocess.PIPE,  # nothing is written: only this process holds its other end
    )


def _name(child: Child) -> str:
    """What is told of a command: its options may hold a password."""
    return child.command.split()[0]


def _let_go(child: Child) -> None:
    """Close what told it that we live."""
    if child.process.stdin:
        child.process.stdin.close()


def _how_it_ended(code: int) -> str:
    """`exit status 1`, or `SIGKILL`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _stop_with_it() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_it, name="supervisor", daemon=True).start()
    runpy.run_module("destination", run_name="__main__")
