"""What is counted and timed, for Prometheus. No label names a person: partners, codes, states.

Each process counts what it does itself, the receiver and the worker in a registry of their own;
what stands in the database (waiting, uncertain, on hold) is told by the receiver alone.
"""

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

RECEIVER = CollectorRegistry()
WORKER = CollectorRegistry()

#: Seconds: from a commit to a retry of hours.
_SHORT = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)

received = Counter(
    "destination_calls_received",
    "Calls that were taken in, by source and outcome: accepted, duplicate, discarded.",
    ["source", "outcome"],
    registry=RECEIVER,
)
discarded = Counter(
    "destination_calls_discarded",
    "Calls that made no delivery, by source and reason.",
    ["source", "reason"],
    registry=RECEIVER,
)
turned_away = Counter(
    "destination_requests_turned_away",
    "Requests that were not taken in, by status: 401, 503.",
    ["status"],
    registry=RECEIVER,
)
receiving = Histogram(
    "destination_receive_seconds",
    "From the calls of a request to their commit.",
    buckets=_SHORT,
    registry=RECEIVER,
)
attempts = Counter(
    "destination_attempts",
    "Requests to destinations, by what came of them.",
    ["destination", "verdict"],
    registry=WORKER,
)
settled = Counter(
    "destination_deliveries_settled",
    "Deliveries that came to an end: delivered, failed, uncertain.",
    ["destination", "status"],
    registry=WORKER,
)
answering = Histogram(
    "destination_answer_seconds",
    "From a request to the destination's answer.",
    ["destination"],
    buckets=_SHORT,
    registry=WORKER,
)
waiting = Histogram(
    "destination_waited_seconds",
    "From the call that was taken in to the request that delivered it.",
    ["destination"],
    buckets=_LONG,
    registry=WORKER,
)


#: What stands in the database, by the name of its gauge.
_GAUGES = {
    "waiting": "Deliveries that wait for their turn or are under way.",
    "oldest_waiting_seconds": "How long the oldest of them has waited.",
    "uncertain": "Awards whose answer is unknown: somebody must look.",
    "oldest_uncertain_seconds": "How long the oldest of them has been known.",
    "failed": "Deliveries that the destination will not take, still kept.",
    "held": "Whether it is on hold: 1 or 0.",
}
_WORKERS = "Workers that said within 30 seconds that they live."


def text(
    registry: CollectorRegistry,
    standings: Mapping[str, Mapping[str, float]],
    workers: int | None = None,
) -> bytes:
    """A page for Prometheus: what a registry has counted, what stands in the database, as
    destination → gauge → number, and how many workers live, where that is known.
    """
    gauges = CollectorRegistry()
    if workers is not None:
        Gauge("destination_workers_alive", _WORKERS, registry=gauges).set(workers)
    for name, help_text in _GAUGES.items() if standings else ():
        gauge = Gauge(f"destination_{name}", help_text, ["destination"], registry=gauges)
        for destination, numbers in standings.items():
            gauge.labels(destination).set(numbers[name])
    return generate_latest(registry) + generate_latest(gauges)


def offer(registry: CollectorRegistry, *, host: str, port: int) -> None:
    """Serve a registry's page at `/metrics`, from a thread of its own. Raises OSError."""
    start_http_server(port, host, registry)
