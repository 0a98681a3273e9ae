"""What the sandbox remembers while it runs, and where its endpoints find it."""

from dataclasses import dataclass

from flask import current_app

from destination.sandbox.arrivals import RecordedRequests
from destination.sandbox.engine import Engine
from destination.sandbox.faults import Misbehaviours
from destination.sandbox.once import Once
from destination.sandbox.outbox import Outbox
from destination.sandbox.signature import Signature


@dataclass(frozen=True, kw_only=True)
class State:
    """One engine, all that arrived at it, what it told, and the faults that are armed."""

    engine: Engine
    arrivals: RecordedRequests
    faults: Misbehaviours
    outbox: Outbox
    #: What reached the Tracking API, and what the subscriber was told.
    tracked: Once
    notified: Once
    #: What the subscriber checks its notifications by.
    signature: Signature
    #: What Reward takes as its API key, and Segment as its write key.
    key: str


def state() -> State:
    """The state of the app that answers the present request."""
    present: State = current_app.extensions["sandbox"]
    return present
