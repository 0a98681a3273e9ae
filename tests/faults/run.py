"""A run: thousands of events through real processes, while they are killed; then the judge."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from destination.errors import StoreUnavailable
from destination.store import database as databases
from destination.store.database import Database
from destination.store.queries import lists
from tests.conftest import ROOT
from tests.faults import ledger
from tests.faults.chaos import Chaos
from tests.faults.fleet import TIMES, Fleet, Member, fleet
from tests.faults.judge import Verdict, judge
from tests.faults.sender import Sender, calls
from tests.faults.stores import store
from tests.running import answers, free_port, until

#: How many of each run side by side, and how many customers' events are sent.
RECEIVERS, WORKERS, CUSTOMERS = 2, 2, 500

#: The longest answer of the engine, in seconds: so that there is always something under way.
SLOW = 0.4

#: Seconds without any progress after which a run is given up.
STUCK = 60.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run is asked for: the same again with the same seed."""

    database: str
    events: int
    kills: int
    #: How often a worker is paused past its lease; one for each ten kills where it is not said.
    pauses: int | None = None
    seed: int

    @property
    def worker_pauses(self) -> int:
        return -(-self.kills // 10) if self.pauses is None else self.pauses


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of it."""

    run: Run
    seconds: float
    verdict: Verdict
    #: How often what was done to the processes and the database.
    happened: dict[str, int]
    #: How often the sender sent again, and how often processes ended by themselves: that must not
    #: be.
    sent_again: int
    workers_dead: int
    receivers_dead: int
    skipped: list[str]

    @property
    def well(self) -> bool:
        return self.verdict.well and not self.workers_dead


#: Told what stands where, about once a second.
Tell = Callable[[str], None]


def go(run: Run, tell: Tell, folder: Path) -> Report:
    """Run it. The ledger and what the processes say are kept in `folder`.

    Raises AssertionError when nothing gets on any more.
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "ledger.jsonl"
    file.write_text("")
    with store(run.database, run.events) as kept, fleet(folder) as processes:
        settings = {
            **TIMES,
            "DATABASE_URL": kept.url,
            "MAPPINGS": str(ROOT / "mappings"),
            "REHOOK_URL": _engine(processes, run, file),
        }
        ports = _serve(processes, settings)
        work = calls(run.seed, run.events, min(CUSTOMERS, run.events))
        chaos = Chaos(
            processes,
            kept.faults,
            run.seed,
            run.kills,
            run.worker_pauses,
            lambda member: sender.under_way.get(member.port, 1) > 0,
        )
        sender = Sender(work, ports, run.seed, chaos.progress, processes.over)
        chaos.start()
        sender.start()
        database = databases.connect(kept.url)
        try:
            _watch(run, database, chaos, sender, began, tell)
            verdict = judge(database, ledger.read(file), work, sender.acknowledged)
        finally:
            database.engine.dispose()
        ended = Counter[str]()
        for member in processes.members:
            ended[member.name] += member.ended
    return Report(
        run=run,
        seconds=time.monotonic() - began,
        verdict=verdict,
        happened=chaos.happened,
        sent_again=sender.again,
        workers_dead=ended["worker"],
        receivers_dead=ended["receiver"],
        skipped=kept.skipped,
    )


def _engine(processes: Fleet, run: Run, file: Path) -> str:
    """Start the engine, and before it the network that fails; its address."""
    engine, proxy = free_port(), free_port()
    options = ["--port", str(engine), "--file", str(file), "--slow", str(SLOW)]
    seed = ["--seed", str(run.seed)]
    processes.beside(Member("engine", ["tests.faults.ledger", *options, *seed], {}))
    options = ["--port", str(proxy), "--to", str(engine)]
    processes.beside(Member("proxy", ["tests.faults.proxy", *options, *seed], {}))
    return f"http://127.0.0.1:{proxy}"


def _serve(processes: Fleet, settings: dict[str, str]) -> list[int]:
    """Start receivers and workers; the receivers' ports."""
    ports = [free_port() for _ in range(RECEIVERS)]
    for port in ports:
        own = {**settings, "PORT": str(port)}
        processes.start(Member("receiver", ["destination", "serve"], own))
    for port in ports:
        until(partial(answers, f"http://127.0.0.1:{port}/readyz"))
    for _ in range(WORKERS):
        processes.start(Member("worker", ["destination", "worker"], settings))
    return ports


def _watch(
    run: Run, database: Database, chaos: Chaos, sender: Sender, began: float, tell: Tell
) -> None:
    """Wait until all is sent, all strikes have fallen and nothing waits; tell of it meanwhile."""
    last, moved = None, time.monotonic()
    while True:
        for part in (chaos, sender):
            if part.failure:
                raise part.failure
        stand = _counts(database)
        waiting = stand.get("pending", 0) + stand.get("sending", 0)
        tell(
            f"{time.monotonic() - began:4.0f} s  acknowledged {len(sender.acknowledged):,} of "
            f"{run.events:,} · kills {chaos.happened['kill']} of {run.kills} · "
            f"delivered {stand.get('delivered', 0):,} · waiting {waiting:,}"
        )
        if chaos.done and sender.done and stand and not waiting:
            return
        now = (len(sender.acknowledged), chaos.happened, stand)
        if str(now) != last:
            last, moved = str(now), time.monotonic()
        assert time.monotonic() - moved < STUCK, f"nothing gets on any more: {stand}"
        time.sleep(0.5)


def _counts(database: Database) -> dict[str, int]:
    """How many deliveries stand where; nothing while the database is away."""
    try:
        return lists.counts(database)
    except (StoreUnavailable, sa.exc.SQLAlchemyError):
        return {}
