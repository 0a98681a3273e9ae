"""What the mapping kit takes for one event, beside Segment's: `python benchmarks/mapping.py`.

Segment's numbers are of its mapping kit in Node on the same machine, which checks a mapping
again for every event.
"""

import os
import platform
import timeit
from collections.abc import Callable
from typing import Any

from destination.mapping import compile_mapping, compile_trigger

IDENTIFY = {
    "source_id": {"@path": "$.userId"},
    "metadata": {"@path": "$.traits"},
    "referral_code": {"@path": "$.traits.referral_code"},
}

TRACK = {
    "event_name": {
        "@if": {
            "exists": {"@path": "$.event"},
            "then": {"@path": "$.event"},
            "else": {"@path": "$.type"},
        }
    },
    "source_id": {"@path": "$.userId"},
    "metadata": {"@path": "$.properties"},
}

TRIGGER = 'type = "track" and event = "Order Completed"'

EVENT = {
    "type": "track",
    "messageId": "ajs-6f5d-1c9e",
    "event": "Order Completed",
    "userId": "u-12345",
    "anonymousId": "9b2e7a6c",
    "traits": {"email": "ann@example.com", "plan": "gold", "referral_code": "ANN-5"},
    "properties": {
        "order_id": "o-77",
        "total": 99.5,
        "products": [{"sku": "A", "price": 49.5}, {"sku": "B", "price": 50}],
    },
    "context": {"ip": "203.0.113.7", "page": {"url": "https://example.com/checkout"}},
}

#: What is measured: its name, Segment's µs where known, our limit in µs, and the function.
CASES: list[tuple[str, float | None, float, Callable[[Any], Any]]] = [
    ("identify preset", 6.7, 2.2, compile_mapping(IDENTIFY)),
    ("track preset", 12.0, 4.0, compile_mapping(TRACK)),
    ("trigger of two comparisons", None, 0.5, compile_trigger(TRIGGER)),
]

RUNS = 200_000


def microseconds(run: Callable[[Any], Any]) -> float:
    """Return the µs that one run takes, the best of five times many: others use the machine too."""
    timer = timeit.Timer("run(event)", globals={"run": run, "event": EVENT})
    return min(timer.repeat(repeat=5, number=RUNS)) / RUNS * 1e6


def main() -> None:
    """Print one line for each case, and the conditions."""
    print(f"{'µs per event':<28}{'ours':>8}{'limit':>8}{'Segment':>9}{'faster':>9}")
    for name, theirs, limit, run in CASES:
        ours = microseconds(run)
        beside = f"{theirs:>9.1f}{theirs / ours:>8.1f}×" if theirs else f"{'–':>9}{'–':>9}"
        print(f"{name:<28}{ours:>8.2f}{limit:>8.1f}{beside}")
    print(
        f"\n{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
        f"the best of 5 × {RUNS:,} runs"
    )


if __name__ == "__main__":
    main()
