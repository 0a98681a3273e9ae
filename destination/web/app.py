"""The receiver's app: its endpoints, and how errors are answered."""

import structlog
from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound

from destination.errors import Busy, Refused, StoreUnavailable, Unauthorized
from destination.support import metrics
from destination.support.logs import fault
from destination.web import health, notifications, openapi, receive
from destination.web.receive import Receiver

#: Seconds after which a sender may try again when the database could not be written.
RETRY_AFTER = 5

#: How the paths begin of views that take calls in.
TAKING = ("/webhooks/", "/v1/")

#: Those that wait for nothing but their commit: the door's loop runs them, while others have a
#: thread.
SWIFT = (*TAKING, "/healthz")

log = structlog.get_logger()


def create_app(receiver: Receiver) -> Flask:
    """The WSGI app. Every error is JSON: `{"message": "what is wrong, and the remedy"}`."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = receiver.max_body_bytes
    app.register_blueprint(receive.blueprint(receiver))
    app.register_blueprint(health.blueprint(receiver))
    app.register_blueprint(notifications.blueprint(receiver))
    app.register_blueprint(openapi.blueprint())

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> ResponseReturnValue:
        said = error.description
        if isinstance(error, NotFound) and said == NotFound.description:
            said = "There is nothing here. Calls go to /webhooks/segment, or below /v1; "
            said += "GET /openapi lists every endpoint."
        status = error.code or 500
        if request.path.startswith(notifications.PREFIX):
            return notifications.failure(status, said)
        return {"message": said}, status

    @app.errorhandler(Refused)
    def refused(error: Refused) -> ResponseReturnValue:
        return {"message": error.detail, "reason": error.reason}, 400

    @app.errorhandler(Unauthorized)
    def unauthorized(error: Unauthorized) -> ResponseReturnValue:
        metrics.turned_away.labels("401").inc()
        return {"message": str(error)}, 401

    @app.errorhandler(StoreUnavailable)
    def unavailable(error: StoreUnavailable) -> ResponseReturnValue:
        metrics.turned_away.labels("503").inc()
        said = "The database cannot be used right now. Ask again later; the log says what it is."
        if request.path.startswith(TAKING):
            said = "The calls cannot be kept right now. Send them again later."
        if isinstance(error, Busy):
            said = str(error)
        else:
            log.error("store unavailable", cause=str(error))
        return {"message": said}, 503, {"Retry-After": str(RETRY_AFTER)}

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        log.error("request failed", **fault(error))
        return {"message": "A fault of ours, which is in the log. Send it again later."}, 500

    return app
