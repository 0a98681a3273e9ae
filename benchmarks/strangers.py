"""What a stranger costs: requests without a good credential, and signed calls beside them.

    python benchmarks/strangers.py [--seconds 5]

Each line has a new receiver. One sender sends calls with its key, one after the other; then eight
connections send one kind of request without a pause; then both at once. It ends with a fault where
a request of a stranger costs more than 2 ms of the receiver's processor time, where the calls take
more than five times as long as in quiet, or where the receiver grows by more than 80 MB.
"""

import argparse
import contextlib
import gzip
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import load
from rich.console import Console

#: How many strangers send at once.
STRANGERS = 8

#: What is borne: seconds of processor time a request, times as long, and MB more.
MOST_CPU, MOST_TIMES, MOST_GROWTH = 0.002, 5.0, 80


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a stranger sends."""

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str]


SIGNED = {"X-Signature": "0" * 40}
PACKED = {"Content-Encoding": "gzip"}
BRACKETS = b"[" * 4_000_000
CALLS = json.dumps([load.call(number) for number in range(3000)]).encode()

REQUESTS = [
    Request(
        name="4 KB that unpack to 4 MB",
        path="/webhooks/segment",
        body=gzip.compress(BRACKETS),
        headers=PACKED,
    ),
    Request(
        name="the same, a forged signature",
        path="/webhooks/segment",
        body=gzip.compress(BRACKETS),
        headers={**PACKED, **SIGNED},
    ),
    Request(
        name="the same, at /v1", path="/v1/batch", body=gzip.compress(BRACKETS), headers=PACKED
    ),
    Request(name="500 KB of calls, at /v1", path="/v1/batch", body=CALLS[:500_000], headers={}),
    Request(
        name="500 KB, a forged signature",
        path="/webhooks/segment",
        body=CALLS[:500_000],
        headers=SIGNED,
    ),
    Request(
        name="4 MB without a credential",
        path="/webhooks/segment",
        body=b"x" * 4_000_000,
        headers={},
    ),
    Request(
        name="a head of 60 KB", path="/webhooks/segment", body=b"[]", headers={"X-A": "a" * 60_000}
    ),
    Request(name="nothing", path="/webhooks/segment", body=b"", headers={}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each kind is sent")
    arguments = parser.parse_args()
    columns = (
        "a stranger sends",
        "a second",
        "ms of CPU\neach",
        "calls, ms\nin quiet",
        "beside\nthem",
        "times",
        "MB more",
    )
    table = load.table(columns, title="Strangers", collapse_padding=True)
    faults = []
    for request in REQUESTS:
        with tempfile.TemporaryDirectory() as folder:
            found = _measure(request, Path(folder), arguments.seconds)
        table.add_row(request.name, *found.cells())
        faults += [f"{request.name}: {each}" for each in found.faults()]
    Console(width=110).print(table)
    sys.exit("\n".join(faults) or 0)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a kind of request costs."""

    rate: float
    #: Seconds of processor time of the receiver for each, while nobody else sends.
    cpu: float
    #: The median of a call in quiet and beside them, in seconds.
    quiet: float
    beside: float
    growth: float

    def cells(self) -> Iterator[str]:
        yield f"{self.rate:,.0f}"
        yield f"{self.cpu * 1000:.2f}"
        yield f"{self.quiet * 1000:.1f}"
        yield f"{self.beside * 1000:.1f}"
        yield f"{self.beside / self.quiet:.1f}"
        yield f"{self.growth:.0f}"

    def faults(self) -> Iterator[str]:
        if self.cpu > MOST_CPU:
            yield f"{self.cpu * 1000:.1f} ms of processor time each"
        if self.beside > MOST_TIMES * self.quiet:
            yield f"calls take {self.beside / self.quiet:.1f} times as long"
        if self.growth > MOST_GROWTH:
            yield f"the receiver grew by {self.growth:.0f} MB"


def _measure(request: Request, folder: Path, seconds: float) -> Found:
    port = load.free_port()
    settings = {
        "DATABASE_URL": f"sqlite:///{folder / 'x.db'}",
        "PORT": port,
        "MAPPINGS": load.ROOT / "mappings",
        "SEGMENT_SHARED_SECRET": "secret" if "X-Signature" in request.headers else "",
        # Where calls must be signed, the sender beside uses the Tracking API.
        "SEGMENT_WRITE_KEYS": load.KEY,
    }
    with load.process(["-m", "destination", "serve"], settings, folder, "receiving") as receiver:
        _calls(port, 0.5)
        quiet = _calls(port, seconds)
        memory, cpu = _memory(receiver.pid), _cpu(receiver.pid)
        over, sent = threading.Event(), [0] * STRANGERS
        threads = [
            threading.Thread(target=_send, args=(port, request, over, sent, number), daemon=True)
            for number in range(STRANGERS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        spent, requests = _cpu(receiver.pid) - cpu, sum(sent)
        beside = _calls(port, seconds)
        growth = _memory(receiver.pid) - memory
        over.set()
        for thread in threads:
            thread.join(10)
    return Found(
        rate=requests / seconds,
        cpu=spent / max(1, requests),
        quiet=median(quiet),
        beside=median(beside),
        growth=growth,
    )


def _calls(port: int, seconds: float) -> list[float]:
    """Send calls one after the other: the seconds that each took."""
    took: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        body = json.dumps(load.call(len(took)))
        began = time.monotonic()
        connection.request("POST", "/v1/track", body, {"Authorization": f"Bearer {load.KEY}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        took.append(time.monotonic() - began)
    connection.close()
    return took


def _send(port: int, request: Request, over: threading.Event, sent: list[int], number: int) -> None:
    """A stranger: sends and reads until it is over."""
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):  # cut off: comes again
            while not over.is_set():
                sent[number] += 1
                connection.request("POST", request.path, request.body, dict(request.headers))
                answer = connection.getresponse()
                answer.read()
                assert answer.status >= 400, answer.status
        connection.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory(pid: int) -> float:
    """MB at the peak."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
