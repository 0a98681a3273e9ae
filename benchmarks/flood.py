"""A flood: calls that come at a set rate, whether the last ones were answered or not."""

import asyncio
import multiprocessing
import re
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import load

#: Seconds after which Segment gives an answer up.
TOO_LATE = 5.0

#: Seconds in which the answers to the last calls must have come.
LAST = 15.0


@dataclass
class Minute:
    """What came of the calls of one minute."""

    sent: int = 0
    #: `taken`: 200; `told`: 429 or 503 with Retry-After; and what must not be: `wrong`, any other
    #: answer; `late`, after Segment gave up; `unanswered`.
    answers: Counter[str] = field(default_factory=Counter)
    #: Seconds that the answers of each kind took.
    took: dict[str, list[float]] = field(default_factory=lambda: {"taken": [], "told": []})


class Flood:
    """A process that sends `rate` calls a second for `minutes`, each in a request of its own."""

    def __init__(self, port: int, *, rate: float, minutes: float) -> None:
        self._told, tell = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(
            target=_flood, args=(port, rate, minutes * 60, tell), daemon=True
        )
        self._process.start()

    def told(self, within: float) -> Minute | bytes | None:
        """What it tells next: each minute, and in the end a byte for each number: 1 where the call
        `flood-<number>` was answered 200. None where it tells nothing within so many seconds.
        """
        found: Minute | bytes | None = self._told.recv() if self._told.poll(within) else None
        return found


def _flood(port: int, rate: float, seconds: float, tell: Connection) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    asyncio.run(_Senders(port).send(rate, seconds, tell))


class _Senders:
    """As many connections as there are calls without an answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._minute = Minute()
        self._asking: set[asyncio.Task[None]] = set()
        self._taken = bytearray()
        self.idle: list[_Sender] = []
        self.waiting = 0

    async def send(self, rate: float, seconds: float, tell: Connection) -> None:
        began, sent, minutes = time.monotonic(), 0, 1
        while (passed := time.monotonic() - began) < seconds:
            while sent < passed * rate:
                self._ask(sent)
                sent += 1
            if passed > minutes * 60:
                minutes += 1
                self._tell(tell)
            await asyncio.sleep(0.002)
        ends = time.monotonic() + LAST
        while self.waiting and time.monotonic() < ends:
            await asyncio.sleep(0.1)
        self._minute.answers["unanswered"] += self.waiting
        self._tell(tell)
        tell.send(bytes(self._taken))

    def _tell(self, tell: Connection) -> None:
        tell.send(self._minute)
        self._minute = Minute()

    def _ask(self, number: int) -> None:
        self._taken.append(0)
        self._minute.sent += 1
        self.waiting += 1
        began = time.monotonic()
        if self.idle:
            self.idle.pop().ask(number, began)
        else:
            self.ask_anew(number, began)

    def ask_anew(self, number: int, began: float) -> None:
        """On a connection of its own."""
        task = asyncio.create_task(self._connect(number, began))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _connect(self, number: int, began: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, sender = await loop.create_connection(lambda: _Sender(self), "127.0.0.1", self._port)
        except OSError:
            self.answered(number, 0.0, "unanswered")
        else:
            sender.ask(number, began)

    def answered(self, number: int, took: float, answer: str) -> None:
        self.waiting -= 1
        self._minute.answers[answer] += 1
        if answer in self._minute.took:
            self._minute.took[answer].append(took)
        self._minute.answers["late"] += took > TOO_LATE
        self._taken[number] = answer == "taken"


class _Sender(asyncio.Protocol):
    """One connection, with one call at a time."""

    def __init__(self, senders: _Senders) -> None:
        self._senders = senders
        self._number: int | None = None
        self._asked = 0
        self._began = 0.0
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, number: int, began: float) -> None:
        self._number, self._began, self._read = number, began, b""
        self._asked += 1
        call = {**load.call(number), "messageId": f"flood-{number}"}
        self._transport.write(load.request([call]))

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, ends, body = self._read.partition(b"\r\n\r\n")
        head = head.lower()
        length = re.search(rb"content-length: *(\d+)", head)
        if not ends or (length and len(body) < int(length[1])):
            return
        if head.startswith(b"http/1.1 200"):
            self._end("taken")
        elif head.startswith((b"http/1.1 429", b"http/1.1 503")) and b"\r\nretry-after: " in head:
            self._end("told")
        else:
            self._end("wrong")
        if b"\r\nconnection: close" not in head:
            self._senders.idle.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self._number is not None and self._asked > 1 and not self._read:
            # It was closed while it was idle, which we had not seen yet.
            self._senders.ask_anew(self._number, self._began)
        else:
            self._end("unanswered")
        if self in self._senders.idle:
            self._senders.idle.remove(self)

    def _end(self, answer: str) -> None:
        if self._number is not None:
            self._senders.answered(self._number, time.monotonic() - self._began, answer)
        self._number = None
