"""The ledger: an engine that answers by a script, and writes each request down before it answers.

What stands in its file is the truth: what reached the engine, and what the engine awarded. Each
message has a script of its own, drawn by the seed, so that the same seed gives the same engine.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

#: Seconds for which the engine stays silent where it does: longer than any timeout of a test.
SILENCE = 8.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One way to answer a request."""

    #: The status of a whole answer; None where the worker cannot know what became of it.
    status: int | None
    #: Whether the engine does what it is asked: an award is then paid.
    awards: bool
    #: What goes over the wire; "{}" with `status` where it is None.
    wire: bytes | None = None
    #: What becomes of the connection afterwards: kept, closed, reset, silent, or it goes on with
    #: a byte a second (dripping) or with a gigabyte (endless).
    then: str = "kept"


#: Every way, by its name in the ledger.
ANSWERS: dict[str, Answer] = {
    "ok": Answer(status=200, awards=True),
    "broken": Answer(status=500, awards=False),
    "refused": Answer(status=400, awards=False),
    "limited": Answer(status=429, awards=False),
    "busy": Answer(status=503, awards=False),
    "stranger": Answer(status=401, awards=False),
    "gateway": Answer(status=502, awards=True),
    "reset unread": Answer(status=None, awards=False, wire=b"", then="reset"),
    "reset": Answer(status=None, awards=True, wire=b"", then="reset"),
    "half": Answer(
        status=None,
        awards=True,
        wire=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"mess',
        then="closed",
    ),
    "late": Answer(status=None, awards=True, wire=b"", then="silent"),
    "garbage": Answer(status=None, awards=True, wire=b"\x00\x01 what?\r\n\r\n", then="closed"),
    "dripping": Answer(
        status=None,
        awards=True,
        wire=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
        then="dripping",
    ),
    "headers": Answer(
        status=None,
        awards=True,
        wire=b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
        then="closed",
    ),
    "endless": Answer(status=200, awards=True, wire=b"HTTP/1.1 200 OK\r\n", then="endless"),
    "bomb": Answer(
        status=200,
        awards=True,
        wire=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(bytes(64 * 1024 * 1024)),
        then="closed",
    ),
}

#: How often a message meets which answers, one after the other; then it is taken.
SCRIPTS: list[tuple[float, list[str]]] = [
    (850, []),
    (30, ["broken", "broken"]),
    (20, ["refused"]),
    (20, ["limited"]),
    (10, ["busy"]),
    (1, ["stranger"]),
    (10, ["gateway"]),
    (10, ["reset unread"]),
    (10, ["reset"]),
    (10, ["half"]),
    (10, ["late"]),
    (7, ["garbage"]),
    (7, ["dripping"]),
    (5, ["headers"]),
]


def script(seed: int, message: str) -> list[str]:
    """What a message meets at its first requests, by the names of ANSWERS."""
    chance = random.Random(f"{seed}:{message}")
    weights = [weight for weight, _ in SCRIPTS]
    return list(chance.choices([answers for _, answers in SCRIPTS], weights)[0])


class Ledger:
    """The engine. `scripts` are by customer, and stand before those that the seed draws."""

    def __init__(
        self, file: IO[str], seed: int | None, slow: float, scripts: Mapping[str, list[str]]
    ) -> None:
        self._file = file
        self._seed = seed
        self._slow = slow
        self._scripts = {name: list(answers) for name, answers in scripts.items()}
        self._chance = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                while await self._answer(reader, writer) == "kept":
                    pass
            finally:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        path, call = await _read(reader)
        message, customer = str(call["metadata"]["id"]), str(call["source_id"])
        name = self._next(message, customer)
        answer = ANSWERS[name]
        line = {"message": message, "customer": customer, "path": path, "answer": name}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        await asyncio.sleep(self._chance.uniform(0.0, self._slow))
        writer.write(_wire(answer.status or 200) if answer.wire is None else answer.wire)
        await writer.drain()
        if answer.then == "reset":
            _reset(writer)
        elif answer.then == "silent":
            await asyncio.sleep(SILENCE)
        elif answer.then == "dripping":
            for _ in range(int(SILENCE)):
                await asyncio.sleep(1.0)
                writer.write(b"x")
                await writer.drain()
        elif answer.then == "endless":
            writer.write(b"Content-Length: 1073741824\r\n\r\n")
            for _ in range(16 * 1024):
                writer.write(b"x" * 65536)
                await writer.drain()
        return answer.then

    def _next(self, message: str, customer: str) -> str:
        left = self._scripts.get(customer)
        if left is None:
            drawn = [] if self._seed is None else script(self._seed, message)
            left = self._scripts.setdefault(message, drawn)
        return left.pop(0) if left else "ok"


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request. Raises IncompleteReadError unless it came whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    return head.split()[1].decode(), json.loads(await reader.readexactly(length))


def _wire(status: int) -> bytes:
    wait = "Retry-After: 1\r\n" if status == 429 else ""
    return f"HTTP/1.1 {status} X\r\n{wait}Content-Length: 2\r\n\r\n{{}}".encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request that reached the engine."""

    message: str
    customer: str
    path: str
    answer: str

    @property
    def status(self) -> int | None:
        return ANSWERS[self.answer].status

    @property
    def awards(self) -> bool:
        """Whether it paid an award, which is not idempotent."""
        return ANSWERS[self.answer].awards and self.path == "/events/invoke"


def read(file: Path) -> list[Entry]:
    """Every request that arrived, in order."""
    return [Entry(**json.loads(line)) for line in file.read_text().splitlines()]


async def _main(options: argparse.Namespace) -> None:
    with Path(options.file).open("a") as file:
        ledger = Ledger(file, options.seed, options.slow, json.loads(options.scripts))
        server = await asyncio.start_server(ledger.serve, "127.0.0.1", options.port, backlog=1000)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", required=True, help="Where each request is written down.")
    parser.add_argument("--seed", type=int, help="Without it, all is taken but for the scripts.")
    parser.add_argument("--slow", type=float, default=0.0, help="The longest answer, in seconds.")
    parser.add_argument("--scripts", default="{}", help="Answers by customer, as JSON.")
    asyncio.run(_main(parser.parse_args()))
