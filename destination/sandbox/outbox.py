"""The outbox sends webhooks: in order and once, unless it is told to repeat, reorder or delay."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from queue import SimpleQueue
from threading import Lock, Thread

import requests

from destination.sandbox.faults import is_number

#: Reward documents at most five tries after the first; Rehook documents nothing.
MOST_TRIES = 6

#: Seconds before the second try; twice as many before each further one.
FIRST_WAIT = 0.5

#: Seconds to wait for an answer.
TIMEOUT = 10.0


@dataclass(kw_only=True)
class Notice:
    """One webhook. All but its answers is fixed when it is posted."""

    #: Who sends it: "rehook" or "reward".
    sender: str
    body: dict[str, object]
    #: The HTTP status of each try; null for one without an answer.
    answers: list[int | None] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Mischief:
    """What shall become of the next notices."""

    #: How many times more each is sent.
    repeat: int = 0
    #: Seconds that each waits, and what is behind it.
    delay: float = 0.0
    #: They are gathered, and sent the last one first.
    reorder: bool = False
    #: How many notices it hits.
    count: int = 1


class Outbox:
    """Sends notices to the addresses of their senders, from a thread of its own."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """`addresses` by sender, with a user and a password where they want them:
        `http://user:password@127.0.0.1:8080/webhooks/rehook`.
        """
        self._addresses = addresses
        self._lock = Lock()
        self._kept: list[Notice] = []
        self._mischief: list[Mischief] = []
        self._waiting: SimpleQueue[Notice] = SimpleQueue()
        if addresses:
            Thread(target=self._run, name="outbox", daemon=True).start()

    def post(self, sender: str, body: dict[str, object]) -> None:
        """Send a notice soon; without an address it is only kept."""
        notice = Notice(sender=sender, body=body)
        with self._lock:
            self._kept.append(notice)
        if sender in self._addresses:
            self._waiting.put(notice)

    def arm(self, mischief: Mischief) -> None:
        """Queue a mischief behind those that are armed already."""
        with self._lock:
            self._mischief.append(mischief)

    def all(self) -> list[dict[str, object]]:
        """What was posted, in order, with the answers so far."""
        with self._lock:
            return [asdict(notice) for notice in self._kept]

    def clear(self) -> None:
        """Forget what was posted, and disarm every mischief."""
        with self._lock:
            self._kept.clear()
            self._mischief.clear()

    def _run(self) -> None:
        while True:
            notices = [self._waiting.get()]
            with self._lock:
                mischief = self._mischief.pop(0) if self._mischief else Mischief()
            notices += [self._waiting.get() for _ in range(mischief.count - 1)]
            for notice in reversed(notices) if mischief.reorder else notices:
                time.sleep(mischief.delay)
                for _ in range(1 + mischief.repeat):
                    self._send(notice)

    def _send(self, notice: Notice) -> None:
        for number in range(MOST_TRIES):
            time.sleep(FIRST_WAIT * 2 ** (number - 1) if number else 0)
            try:
                sent = requests.post(
                    self._addresses[notice.sender], json=notice.body, timeout=TIMEOUT
                )
                status = sent.status_code
            except requests.RequestException:
                status = None
            with self._lock:
                notice.answers.append(status)
            if status is not None and 200 <= status < 300:
                return


#: What the value of each key of a mischief must be: a test, and the words for it.
CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "repeat": (lambda value: type(value) is int and 0 <= value <= 100, "a number up to 100"),
    "delay": (lambda value: is_number(value, 60), "a number of seconds up to 60"),
    "reorder": (lambda value: type(value) is bool, "true or false"),
    "count": (lambda value: type(value) is int and 1 <= value <= 1000, "a number from 1 to 1000"),
}


def read_mischief(body: object) -> Mischief:
    """A mischief from its JSON: `{"repeat": 1, "count": 2}`, `{"reorder": true, "count": 3}`.

    Raises ValueError, which names the key and what it must be.
    """
    if not isinstance(body, dict) or not body:
        raise ValueError(f"say what shall happen to the next webhooks: {', '.join(CHECKS)}")
    for key, value in body.items():
        if key not in CHECKS:
            raise ValueError(f"unknown key {key!r}; there are {', '.join(CHECKS)}")
        passes, wanted = CHECKS[key]
        if not passes(value):
            raise ValueError(f"{key} must be {wanted}, not {value!r}")
    return Mischief(**body)
