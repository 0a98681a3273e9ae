"""Health: whether the process lives, and whether it can take calls in."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from destination.jsontext import moment
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
        """Calls can be taken in. A destination on hold, or mapping files that are not taken up,
        are told, and no reason against it; the app answers 503 where nothing can be written.
        """
        receiver.database.check_writable()
        live = receiver.routes
        rejected = live.rejected and {
            "faults": live.rejected.message.splitlines(),
            "since": moment(live.rejected.since),
        }
        return {
            "status": "ready",
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
                for hold in records.holds(receiver.database)
            ],
        }

    return views
