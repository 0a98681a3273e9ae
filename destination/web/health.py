"""Health: whether the process lives, and whether it can take calls in."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from destination.store import records
from destination.web.receive import Receiver


def blueprint(receiver: Receiver) -> Blueprint:
    """`/healthz` and `/readyz`."""
    views = Blueprint("health", __name__)

    @views.get("/healthz")
    def alive() -> ResponseReturnValue:
        """The process answers."""
        return {"status": "ok"}

    @views.get("/readyz")
    def ready() -> ResponseReturnValue:
        """Calls can be taken in; a destination on hold is told, and is no reason against it.

        The database's failure is answered by the app: 503.
        """
        holds = records.holds(receiver.database)
        return {
            "status": "ready",
            "mappings": len(receiver.routes.mappings),
            "holds": [
                {"destination": hold["destination"], "reason": hold["reason"]} for hold in holds
            ],
        }

    return views
