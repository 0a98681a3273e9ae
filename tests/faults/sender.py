"""The sender: sends each customer's events in order, and sends again what was not answered 2xx."""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import requests

from tests.conftest import KEY

#: Seconds that a request may take, and a pause after one that failed.
TIMEOUT, PAUSE = 10.0, 0.1

#: How many threads send at once, and how many calls a batch has at most.
THREADS, BATCH = 8, 30

Call = dict[str, Any]


def calls(seed: int, count: int, customers: int) -> list[list[Call]]:
    """For each customer its calls, in order: awards, some identifies, and some to be dropped."""
    chance = random.Random(seed)
    found: list[list[Call]] = [[] for _ in range(customers)]
    for number in range(count):
        customer = f"c{number % customers}"
        name = f"{customer}-{number // customers}"
        call: Call = {"type": "track", "messageId": name, "userId": customer, "event": "Order"}
        call["properties"] = {"id": name, "note": "x" * chance.randint(0, 800)}
        drawn = chance.random()
        if drawn < 0.1:
            call = {"type": "identify", "messageId": name, "userId": customer}
            call["traits"] = {"id": name}
        elif drawn < 0.12:
            del call["userId"]  # it is dropped, as id_required
        found[number % customers].append(call)
    return found


class Sender:
    """Sends until all is acknowledged, or the run is `over`. `allowance` tells how much of it, from 0 to 1, may be
    sent by now: so that a run lasts as long as its faults.
    """

    def __init__(
        self,
        work: Sequence[Sequence[Call]],
        ports: Sequence[int],
        seed: int,
        allowance: Callable[[], float],
        over: threading.Event,
    ) -> None:
        self._work = [deque(calls) for calls in work if calls]
        self._ports = ports
        self._allowance = allowance
        self._over = over
        self._total = sum(len(calls) for calls in work)
        self._taken = 0
        self._lock = threading.Lock()
        #: The message ids answered 2xx, and how often anything was sent again.
        self.acknowledged: set[str] = set()
        self.again = 0
        #: How many requests each receiver has under way.
        self.under_way = dict.fromkeys(ports, 0)
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}:{n}"),), daemon=True)
            for n in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, chance: random.Random) -> None:
        try:
            while mine := self._take(1 if chance.random() < 0.5 else chance.randint(2, BATCH)):
                batch = [queue[0] for queue in mine]
                self._send(batch, chance)
                if chance.random() < 0.03:  # Segment repeats itself
                    self._send(batch, chance)
                with self._lock:
                    for queue in mine:
                        queue.popleft()
                        if queue:
                            self._work.append(queue)
        except BaseException as error:  # the run's thread tells it
            self.failure = error

    def _take(self, wanted: int) -> list[deque[Call]]:
        """The queues of some customers, who are nobody else's meanwhile; none when all is done."""
        while True:
            with self._lock:
                if self._taken >= self._total:
                    return []
                free = min(wanted, int(self._allowance() * self._total) - self._taken)
                mine = [self._work.pop(0) for _ in range(min(free, len(self._work)))]
                self._taken += len(mine)
            if mine or self._over.wait(0.02):
                return mine

    def _send(self, batch: list[Call], chance: random.Random) -> None:
        while not self._answered(batch, chance.choice(self._ports)):
            self.again += 1
            if self._over.wait(PAUSE):
                return

    def _answered(self, batch: list[Call], port: int) -> bool:
        with self._lock:
            self.under_way[port] += 1
        try:
            url = f"http://127.0.0.1:{port}/webhooks/segment"
            body = batch if len(batch) > 1 else batch[0]
            answer = requests.post(url, json=body, auth=(KEY, ""), timeout=TIMEOUT)
            if answer.status_code != 200:
                assert answer.status_code in (429, 503), answer.text
                assert "Retry-After" in answer.headers
                return False
            results = answer.json()["results"]
            assert [row["messageId"] for row in results] == [call["messageId"] for call in batch]
        except (requests.RequestException, ValueError):
            return False
        finally:
            with self._lock:
                self.under_way[port] -= 1
        self.acknowledged.update(row["messageId"] for row in results)
        return True
