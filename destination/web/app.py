"""The receiver's app: its endpoints, and how errors are answered."""

from urllib.parse import urlsplit

import structlog
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound, UnsupportedMediaType

from destination.errors import Busy, Refused, StoreUnavailable, TooLarge, Unauthorized
from destination.support import metrics
from destination.support.logs import fault
from destination.web import health, notifications, openapi, receive
from destination.web.receive import Receiver
from destination.web.server import CODES, RETRY_AFTER, note_unauthorized

#: How the paths begin of views that take calls in.
TAKING = ("/webhooks/", "/v1/")

log = structlog.get_logger()


def create_app(receiver: Receiver) -> Flask:
    """The WSGI app. Every error is JSON: `{"code": "too_large", "message": "what to do"}`."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = receiver.max_body_bytes
    app.register_blueprint(receive.blueprint(receiver))
    app.register_blueprint(health.blueprint(receiver))
    app.register_blueprint(notifications.blueprint(receiver))
    app.register_blueprint(openapi.blueprint())

    @app.before_request
    def refuse_browsers() -> None:
        """A page that somebody looks at may send requests from this machine, and with passwords
        that the browser knows. Segment's own browser clients use `/v1`.
        """
        if request.path.startswith("/v1/"):
            return
        if (origin := request.headers.get("Origin")) and not _is_ours(origin):
            abort(403, f"A page of {origin} may not send this. It is for servers.")
        has_json = request.mimetype == "application/json" or not request.content_length
        if request.path.startswith(notifications.PREFIX) and not has_json:
            raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> ResponseReturnValue:
        said = error.description
        if isinstance(error, NotFound) and said == NotFound.description:
            said = "There is nothing here. Calls go to /webhooks/segment, or below /v1; "
            said += "GET /openapi lists every endpoint."
        status = error.code or 500
        if request.path.startswith(notifications.PREFIX):
            return notifications.failure(status, said)
        return {"code": CODES.get(status, "error"), "message": said}, status

    @app.errorhandler(Refused)
    def refused(error: Refused) -> ResponseReturnValue:
        said = {"code": "bad_request", "message": error.detail, "reason": error.reason}
        return said, 400

    @app.errorhandler(TooLarge)
    def too_large(error: TooLarge) -> ResponseReturnValue:
        return {"code": "too_large", "message": str(error)}, 413

    @app.errorhandler(Unauthorized)
    def unauthorized(error: Unauthorized) -> ResponseReturnValue:
        note_unauthorized(request.path, str(error))
        return {"code": "unauthorized", "message": str(error)}, 401

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
        return (
            {"code": "busy" if isinstance(error, Busy) else "unavailable", "message": said},
            503,
            {"Retry-After": str(RETRY_AFTER)},
        )

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        log.error("request failed", **fault(error))
        said = "A fault of ours, which is in the log. Send it again later."
        return {"code": "internal_error", "message": said}, 500

    return app


def _is_ours(origin: str) -> bool:
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:  # it is no address at all
        return False
