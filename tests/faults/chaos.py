"""Chaos, by a plan that the seed draws: who is killed, who is paused, what befalls the database."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.fleet import LEASE, Fleet, Member

Fault = Callable[[random.Random], None]


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One fault: a kill, a pause, or one of the database's."""

    kind: str
    #: Seconds before it.
    pause: float


def plan(seed: int, kills: int, pauses: int, faults: Mapping[str, Fault]) -> list[Strike]:
    """`kills` kills, `pauses` of workers past their leases; and for each twenty kills one pause of
    a receiver, and one fault of the database of each kind.
    """
    chance = random.Random(seed)
    rounds = max(1, kills // 20) if kills else 0
    kinds = ["kill"] * kills + ["pause"] * pauses + ["receiver pause", *faults] * rounds
    chance.shuffle(kinds)
    return [Strike(kind=kind, pause=chance.uniform(0.2, 1.6)) for kind in kinds]


class Chaos:
    """Strikes, in a thread of its own."""

    def __init__(
        self,
        fleet: Fleet,
        faults: Mapping[str, Fault],
        seed: int,
        kills: int,
        pauses: int,
        under_way: Callable[[Member], bool],
    ) -> None:
        self._fleet = fleet
        self._faults = faults
        self._chance = random.Random(seed)
        self._plan = plan(seed, kills, pauses, faults)
        self._under_way = under_way
        self._since = time.monotonic()
        self._done = 0
        self._pausing: list[threading.Thread] = []
        #: How often what happened, by its name.
        self.happened = dict.fromkeys(["kill", "pause", "receiver pause", *faults], 0)
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._since = time.monotonic()
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def progress(self) -> float:
        """How much of the plan is behind us, from 0 to 1."""
        if self._done >= len(self._plan):
            return 1.0
        passed = (time.monotonic() - self._since) / self._plan[self._done].pause
        return (self._done + min(1.0, passed)) / len(self._plan)

    def _run(self) -> None:
        try:
            for strike in self._plan:
                if self._fleet.over.wait(strike.pause):
                    return
                self._strike(strike)
                self.happened[strike.kind] += 1
                self._since = time.monotonic()
                self._done += 1
            for thread in self._pausing:
                thread.join()
        except BaseException as error:  # the run's thread tells it
            self.failure = error

    def _strike(self, strike: Strike) -> None:
        if strike.kind == "kill":
            victim = self._victim()
            ends = time.monotonic() + 0.5
            while not self._under_way(victim) and time.monotonic() < ends:
                time.sleep(0.001)
            time.sleep(self._chance.uniform(0.0, 0.02))
            victim.kill(self._fleet.log)
        elif strike.kind in ("pause", "receiver pause"):
            name = "worker" if strike.kind == "pause" else "receiver"
            victim = self._awake(name)
            seconds = LEASE + self._chance.uniform(0.2, 3.0)
            thread = threading.Thread(target=victim.pause, args=(seconds,), daemon=True)
            thread.start()  # the others go on meanwhile
            self._pausing.append(thread)
        else:
            self._faults[strike.kind](self._chance)

    def _awake(self, name: str) -> Member:
        """One of those with a name that is not paused; waited for, where all are."""
        members = [member for member in self._fleet.members if member.name == name]
        while all(member.pausing.locked() for member in members):
            if self._fleet.over.wait(0.01):
                break
        awake = [member for member in members if not member.pausing.locked()]
        return self._chance.choice(awake or members)

    def _victim(self) -> Member:
        """Somebody who has had the time to begin with something, if there is anybody."""
        now = time.monotonic()
        grown = [member for member in self._fleet.members if now - member.started_at > 2.0]
        return self._chance.choice(grown or self._fleet.members)
