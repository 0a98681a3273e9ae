"""Health: whether the process lives, whether it can take calls in, and what stands where."""

import dataclasses
import time

import requests
from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from destination.errors import StoreUnavailable
from destination.store.queries import lists
from destination.store.queries.backlog import Standing, standings
from destination.support import metrics
from destination.support.json_codec import moment
from destination.web.bridge import in_thread
from destination.web.receive import Receiver
from destination.web.workers import WorkerWatch

#: What the app's watch for workers is called among its extensions.
WORKERS = "workers"

#: Seconds for which counts are not counted again: a million waiting take a moment.
_COUNTS_LAST = 5.0


def blueprint(receiver: Receiver) -> Blueprint:
    """`/healthz`, `/readyz` and `/metrics`."""
    views = Blueprint("health", __name__)
    counts = _Counts(receiver)
    watch = WorkerWatch(receiver.database)
    # Where the server finds it, which lets it look on while nobody asks.
    views.record_once(lambda state: state.app.extensions.setdefault(WORKERS, watch))

    @views.get("/healthz")
    def alive() -> ResponseReturnValue:
        """The process answers."""
        return {"status": "ok"}

    @views.get("/readyz")
    @in_thread
    def ready() -> ResponseReturnValue:
        """Calls can be taken in. That no worker runs, a destination on hold, or mapping files that
        are not taken up, are told, and no reason against it; the app answers 503 where nothing can
        be written.
        """
        receiver.database.check_writable()
        workers = watch.look()
        live = receiver.routes
        rejected = live.rejected and {
            "faults": live.rejected.message.splitlines(),
            "since": moment(live.rejected.since),
        }
        return {
            "status": "ready",
            "workers": {
                "alive": workers.alive,
                "noWorkerSince": None if workers.none_since is None else moment(workers.none_since),
            },
            "mappings": {
                "digest": live.current.digest,
                "names": [each.name for each in live.current.mappings if each.enabled],
                "since": moment(live.since),
                "rejected": rejected,
            },
            "holds": [
                {
                    "destination": hold["destination"],
                    "reason": hold["reason"],
                    "since": moment(hold["since"]),
                }
                for hold in lists.holds(receiver.database)
            ],
            "destinations": {
                name: {
                    "waiting": standing.waiting,
                    "oldestWaitingSeconds": round(standing.oldest_waiting_seconds, 1),
                    "uncertain": standing.uncertain,
                    "oldestUncertainSeconds": round(standing.oldest_uncertain_seconds, 1),
                    "failed": standing.failed,
                }
                for name, standing in counts.now().items()
            },
        }

    @views.get("/metrics")
    @in_thread
    def page() -> ResponseReturnValue:
        """For Prometheus: what this receiver counted, what stands in the database, unless it is
        away, and what the worker counted that runs beside it.
        """
        try:
            standing_now, alive = counts.now(), watch.look().alive
        except StoreUnavailable:
            standing_now, alive = {}, None
        found = {
            name: {**dataclasses.asdict(standing), "held": float(standing.held is not None)}
            for name, standing in standing_now.items()
        }
        text = metrics.text(metrics.RECEIVER, found, alive) + _of_worker(receiver.worker_metrics)
        return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    return views


class _Counts:
    """What stands where, counted every few seconds at most."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._counted_at = -_COUNTS_LAST
        self._found: dict[str, Standing] = {}

    def now(self) -> dict[str, Standing]:
        """By destination: all that there are. Raises StoreUnavailable."""
        if time.monotonic() - self._counted_at >= _COUNTS_LAST:
            known = dict.fromkeys(self._receiver.registry)
            found = standings(self._receiver.database)
            self._found = {name: found.get(name, Standing()) for name in {**known, **found}}
            self._counted_at = time.monotonic()
        return self._found


def _of_worker(address: str | None) -> bytes:
    """The page of the worker that runs beside this receiver; nothing while it is away."""
    if address is None:
        return b""
    try:
        return requests.get(address, timeout=2).content
    except requests.RequestException:
        return b""
