"""The processes of a run: each can be killed or paused, and is started again as systemd would."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import DOORS, ROOT

#: The service's times, short enough for a run: seconds.
TIMES = {
    "CONNECT_TIMEOUT": "0.5",
    "READ_TIMEOUT": "1",
    "LEASE": "3.5",
    "HOLD_PROBE": "0.5",
    "BREAKER_PROBE": "0.5",
}

LEASE = float(TIMES["LEASE"])

#: Seconds that a process has to itself after a pause, before the next one.
AWAKE = 2.0


class Member:
    """One process, and how to start it."""

    def __init__(self, name: str, command: Sequence[str], settings: Mapping[str, str]) -> None:
        self.name = name
        self.port = int(settings.get("PORT", 0))
        self._command = [sys.executable, "-m", *command]
        self._environment = {
            **{name: text for name, text in os.environ.items() if "DESTINATION_" not in name},
            **{f"DESTINATION_{name}": text for name, text in {**DOORS, **settings}.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._over = False
        self.started_at = 0.0
        #: Held while it is paused, and for a moment afterwards.
        self.pausing = threading.Lock()
        #: How often it ended by itself.
        self.ended = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, log: Path) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=file, stderr=file
            )
        self.started_at = time.monotonic()

    def kill(self, log: Path) -> None:
        """SIGKILL it, and start it again at once."""
        with self._lock:
            if not self._over:
                self._stop(signal.SIGKILL)
                self.start(log)

    def revive(self, log: Path) -> None:
        """Start it again where it has ended by itself."""
        with self._lock:
            if not self._over and self._process is not None and not self.lives:
                self.ended += 1
                self.start(log)

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later; one pause after the other."""
        with self.pausing:
            paused = self._process
            assert paused is not None
            paused.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            paused.send_signal(signal.SIGCONT)
            time.sleep(AWAKE)

    def end(self) -> None:
        """Stop it for good."""
        with self._lock:
            self._over = True
            self._stop(signal.SIGTERM)

    def _stop(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Fleet:
    """All processes of a run; those of the service are started again whenever they end."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.members: list[Member] = []
        self._others: list[Member] = []
        #: Set when the run ends, however it ends.
        self.over = threading.Event()
        self._tender = threading.Thread(target=self._tend, daemon=True)

    def start(self, member: Member) -> Member:
        """Start a process of the service, which has a short life."""
        self.members.append(member)
        member.start(self.log)
        return member

    def beside(self, member: Member) -> Member:
        """Start a process that is left alone."""
        self._others.append(member)
        member.start(self.log)
        return member

    def _tend(self) -> None:
        while not self.over.wait(0.5):
            for member in list(self.members):
                member.revive(self.log)

    def __enter__(self) -> "Fleet":
        self._tender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._tender.join()
        for member in [*self.members, *self._others]:
            member.end()


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Processes that end with the block; what they say is in `folder`."""
    with Fleet(folder / "processes.log") as found:
        yield found
