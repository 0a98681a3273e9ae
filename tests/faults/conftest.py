"""What the tests of single faults share: the service as processes, before a ledger."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from destination.store import database as databases
from destination.store.database import Database
from tests.conftest import KEY, ROOT
from tests.faults import ledger
from tests.faults.fleet import TIMES, Fleet, Member, fleet
from tests.faults.stores import Postgres, Sqlite, store
from tests.running import answers, free_port, until


class Scene:
    """Receivers and workers on a database of their own, and the ledger before which they play."""

    def __init__(self, processes: Fleet, kept: Sqlite | Postgres, folder: Path) -> None:
        self.kept = kept
        self._processes = processes
        self.log = processes.log
        self._file = folder / "ledger.jsonl"
        self._file.write_text("")
        self._settings = {
            **TIMES,
            "DATABASE_URL": kept.url,
            "MAPPINGS": str(ROOT / "mappings"),
        }
        self.database: Database = databases.connect(kept.url)
        self.ports: list[int] = []

    def engine(self, *, first: str | None = None, slow: float = 0.0, **scripts: list[str]) -> None:
        """Start the engine: its answers by customer; `first` befalls the first connection to it."""
        port = free_port()
        options = ["--port", str(port), "--file", str(self._file), "--slow", str(slow)]
        options += ["--scripts", json.dumps(scripts)]
        self._processes.beside(Member("engine", ["tests.faults.ledger", *options], {}))
        if first:
            door = free_port()
            options = ["--port", str(door), "--to", str(port), "--first", first]
            self._processes.beside(Member("proxy", ["tests.faults.proxy", *options], {}))
            port = door
        self._settings["REHOOK_URL"] = f"http://127.0.0.1:{port}"

    def receivers(self, count: int = 1, *, wait: bool = True) -> None:
        for _ in range(count):
            port = free_port()
            self.ports.append(port)
            own = {**self._settings, "PORT": str(port)}
            self._processes.beside(Member("receiver", ["destination", "serve"], own))
        for port in self.ports if wait else []:
            until(partial(answers, f"http://127.0.0.1:{port}/readyz"))

    def worker(self, **settings: str) -> Member:
        own = {**self._settings, **settings}
        return self._processes.beside(Member("worker", ["destination", "worker"], own))

    def poisonous_worker(self) -> Member:
        """One that some payloads take down; it is started again whenever it ends."""
        return self._processes.start(Member("worker", ["tests.faults.poisonous"], self._settings))

    def send(self, *calls: dict[str, Any], receiver: int = 0) -> requests.Response:
        url = f"http://127.0.0.1:{self.ports[receiver]}/webhooks/segment"
        return requests.post(url, json=list(calls), auth=(KEY, ""), timeout=30)

    def arrived(self) -> list[ledger.Entry]:
        return ledger.read(self._file)


def order(customer: str, number: int = 1, **properties: str) -> dict[str, Any]:
    """A call that is awarded."""
    name = f"{customer}-{number}"
    return {
        "type": "track",
        "messageId": name,
        "userId": customer,
        "event": "Order Completed",
        "properties": {"id": name, **properties},
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """On each database, one that can be stopped and filled."""
    with store(request.param) as kept, fleet(tmp_path) as processes:
        found = Scene(processes, kept, tmp_path)
        yield found
        found.database.engine.dispose()
