"""The service as it runs: processes of their own, on free ports, reached over sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.conftest import DOORS, KEY, ROOT

#: Seconds for which anything is waited for. It comes far sooner, but not on a busy machine.
PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition, and fail when it does not come."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.02)


class Service:
    """A sandbox engine, receivers and workers on one SQLite file, each a process."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port, self.sandbox_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.engine_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.settings = {
            "DATABASE_URL": f"sqlite:///{folder / 'service.db'}",
            "MAPPINGS": str(ROOT / "mappings"),
            "PORT": str(self.port),
            "REHOOK_URL": self.engine_url,
            "REHOOK_API_KEY": "sandbox",
            "REHOOK_API_SECRET": "sandbox",
            "CONNECT_TIMEOUT": "1",
            "READ_TIMEOUT": "2",
            "LEASE": "6.5",
            "HOLD_PROBE": "0.5",
            **DOORS,
            **settings,
        }
        self.processes: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        ours = {f"DESTINATION_{name}": value for name, value in self.settings.items()}
        return {**os.environ, **ours}

    def start(self, *command: str, **settings: str) -> "subprocess.Popen[str]":
        added = {f"DESTINATION_{name}": value for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "destination", *command],
            env={**self.environment, **added},
            text=True,
        )
        self.processes.append(process)
        return process

    def serve(self) -> "subprocess.Popen[str]":
        process = self.start("serve")
        until(lambda: answers(f"{self.url}/readyz"))
        return process

    def serve_beside(self, count: int) -> list[str]:
        """Start more receivers on the same database; their addresses."""
        ports = [free_port() for _ in range(count)]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for port in ports:
            self.start("serve", PORT=str(port))
        until(lambda: all(answers(f"{url}/readyz") for url in urls))
        return urls

    def sandbox(self, *options: str) -> "subprocess.Popen[str]":
        process = self.start("sandbox", "--port", str(self.sandbox_port), *options)
        until(lambda: answers(f"{self.engine_url}/_sandbox/requests"))
        return process

    def run(
        self, *command: str, stdin: str | None = None, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        added = {f"DESTINATION_{name}": value for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "destination", *command],
            env={**self.environment, **added},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def send(self, *calls: object) -> list[dict[str, object]]:
        """Send calls in one request, as Segment does; what the receiver says of each."""
        body = calls[0] if len(calls) == 1 else list(calls)
        answer = self.post("/webhooks/segment", body)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["results"])

    def post(self, path: str, body: object) -> requests.Response:
        """A request with the write key."""
        return requests.post(f"{self.url}{path}", json=body, auth=(KEY, ""), timeout=30)

    def deliveries(self) -> dict[str, dict[str, object]]:
        """Every delivery, by its message id, as the command line lists it."""
        listed = self.run("deliveries", "--json")
        assert listed.returncode == 0, listed.stderr
        rows = [json.loads(line) for line in listed.stdout.splitlines()]
        return {row["messageId"]: row for row in rows}

    def settled(self) -> bool:
        """Whether nothing waits any more."""
        return not {row["status"] for row in self.deliveries().values()} & {"pending", "sending"}

    def arrived(self, source_id: str | None = None) -> list[dict[str, object]]:
        """The requests that reached the engine, in order."""
        query = {"source_id": source_id} if source_id else {}
        found = requests.get(f"{self.engine_url}/_sandbox/requests", params=query, timeout=30)
        return list(found.json())

    def customers(self) -> dict[str, dict[str, object]]:
        found = requests.get(f"{self.engine_url}/_sandbox/customers", timeout=30).json()
        return {customer["source_id"]: customer for customer in found}

    def tracked(self) -> list[dict[str, object]]:
        """The calls that reached the stand-in for Segment's Tracking API, each once, in order."""
        return list(requests.get(f"{self.engine_url}/_sandbox/tracked", timeout=30).json())

    def notified(self) -> list[dict[str, object]]:
        """What the subscriber was told, each once: `[{"signed", "notification"}]`."""
        return list(requests.get(f"{self.engine_url}/_sandbox/notified", timeout=30).json())

    def told(self) -> list[dict[str, object]]:
        """The webhooks that the engine sent, with the answers to each try."""
        return list(requests.get(f"{self.engine_url}/_sandbox/webhooks", timeout=30).json())

    def upset(self, **mischief: object) -> None:
        """Tell the engine what to do to its next webhooks."""
        answer = requests.post(f"{self.engine_url}/_sandbox/webhooks", json=mischief, timeout=30)
        assert answer.status_code == 201, answer.text

    def fault(self, **fault: object) -> None:
        """Tell the engine how to misbehave."""
        answer = requests.post(f"{self.engine_url}/_sandbox/faults", json=fault, timeout=30)
        assert answer.status_code == 201, answer.text


@contextmanager
def service(folder: Path, **settings: str):
    """A service whose processes are ended with the test."""
    with ExitStack() as stack:
        found = Service(folder, **settings)
        stack.callback(_end, found)
        yield found


def _end(service: Service) -> None:
    for process in service.processes:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in service.processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False
