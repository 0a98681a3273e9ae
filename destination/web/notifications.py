"""The subscribers' API: who is told of which events, and what became of each notification.

It is Capillary's, so that a client of that API works against this one: `{"data", "errors"}`, and
`warnings` where there are any.
"""

import uuid
from collections.abc import Callable, Iterable
from typing import Any, cast

import structlog
from flask import Blueprint, Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from destination.errors import StoreUnavailable, Unauthorized
from destination.outbound.ssrf_guard import BadAddress
from destination.partners.webhook.catalogue import catalogue
from destination.store import subscribers
from destination.store.database import Database
from destination.store.queries.rows import AccountRow
from destination.support import json_codec, metrics
from destination.support.json_codec import Json
from destination.support.logs import fault
from destination.web.bridge import in_thread
from destination.web.notification_schemas import WebHookRequest, errors, event_log, web_hook
from destination.web.receive import Receiver
from destination.web.server import RETRY_AFTER, note_unauthorized

#: Below what stands everything of this API.
PREFIX = "/v3/"

#: Who changes accounts where nobody has to say who they are.
ANYBODY = "anybody"

log = structlog.get_logger()

_request = WebHookRequest()


class _Error(Exception):
    """A request cannot be done: its status, and `[{"code", "message"}]`."""

    def __init__(self, status: int, errors: list[Json]) -> None:
        self.status = status
        self.errors = errors


def blueprint(receiver: Receiver) -> Blueprint:
    """Everything below `/v3/webHooks`."""
    views = Blueprint("notifications", __name__, url_prefix=f"{PREFIX}webHooks")
    _authenticate_requests(views, receiver)
    _add_account_views(views, receiver)
    _add_secret_views(views, receiver)
    _add_catalogue_views(views)
    _add_log_views(views, receiver.database)
    _answer_errors(views)
    return views


def _authenticate_requests(views: Blueprint, receiver: Receiver) -> None:
    """Every request shows credentials, and every answer has an id."""

    @views.before_request
    def authenticate() -> None:
        settings = "DESTINATION_NOTIFICATIONS_USER and _PASSWORD"
        if not receiver.notifications.protects:
            raise Unauthorized(
                "Nothing keeps strangers from making themselves subscribers, so nobody is let in. "
                f"Set {settings}, and send them by Basic auth."
            )
        remedy = f"Send the user and the password of {settings} by Basic auth."
        receiver.notifications.check(dict(request.headers), remedy=remedy)

    @views.after_request
    def name_request(answer: Response) -> Response:
        answer.headers["X-CAP-REQUEST-ID"] = str(uuid.uuid4())
        return answer


def _add_account_views(views: Blueprint, receiver: Receiver) -> None:
    """Make accounts, list them, change them."""
    database = receiver.database

    @views.post("")
    @in_thread
    def add() -> Response:
        """Subscribe: make an account."""
        values = {"method": "POST", "headers": {}, "sla": None, "active": True, **_account_values()}
        receiver.permit(values["url"])
        return _save(receiver, lambda: subscribers.add(database, values, _user()))

    @views.get("")
    @in_thread
    def list_all() -> Response:
        """Every account, active or not."""
        return _answer([web_hook(row) for row in subscribers.listed(database)])

    @views.put("/<web_hook_id>")
    @in_thread
    def change(web_hook_id: str) -> Response:
        """Change an account; event names are replaced, what is left out stays."""
        _find(database, web_hook_id)
        values = _account_values(partial=True)
        if "url" in values:
            receiver.permit(values["url"])
        return _save(receiver, lambda: subscribers.change(database, web_hook_id, values, _user()))

    @views.delete("/<web_hook_id>")
    @in_thread
    def deactivate(web_hook_id: str) -> Response:
        """Tell it nothing more; what waits goes on if it is active again within seven days."""
        _find(database, web_hook_id)
        values = {"active": False}
        return _save(receiver, lambda: subscribers.change(database, web_hook_id, values, _user()))


def _add_secret_views(views: Blueprint, receiver: Receiver) -> None:
    """Show the secret that signs an account's notifications, and replace it."""
    database = receiver.database

    @views.get("/<web_hook_id>/secret")
    @in_thread
    def secret(web_hook_id: str) -> Response:
        """What signs the account's notifications."""
        return _answer(_secret(_find(database, web_hook_id)))

    @views.post("/<web_hook_id>/secret")
    @in_thread
    def rotate(web_hook_id: str) -> Response:
        """Make a new secret; the one before it signs too, for a day."""
        _find(database, web_hook_id)
        row = subscribers.rotate(database, web_hook_id, _user())
        receiver.registry.look()
        return _answer(_secret(row))


def _add_catalogue_views(views: Blueprint) -> None:
    """Show which events there are, and the shape of each."""

    @views.get("/eventMetaData")
    def events() -> Response:
        """Every event that can be subscribed to."""
        return _answer([{"active": True, "eventName": name} for name in catalogue()])

    @views.get("/eventMetaData/<path:event_name>")
    def event(event_name: str) -> Response:
        """What a notification of an event looks like, as JSON Schema."""
        if event_name not in catalogue():
            message = f"No event is called {event_name}. GET eventMetaData lists them."
            raise _error(404, 404, message)
        schema = catalogue()[event_name].schema
        return _answer({"active": True, "eventName": event_name, "schema": schema})


def _add_log_views(views: Blueprint, database: Database) -> None:
    """Show what became of notifications."""

    @views.get("/eventLog/<event_id>")
    @in_thread
    def log_of(event_id: str) -> Response:
        """What became of a notification."""
        row = subscribers.log_of(database, event_id) if _is_id(event_id) else None
        if row is None:
            raise _error(404, 404, "There is no notification with this eventId.")
        return _answer(event_log(row))

    @views.get("/eventLog/requestId/<path:request_id>")
    @in_thread
    def log_of_request(request_id: str) -> Response:
        """What became of the notifications that a call caused."""
        found = subscribers.log_of_request(database, request_id) if _is_id(request_id) else []
        return _answer([event_log(row) for row in found])

    @views.get("/eventLog/refId/<path:ref_id>")
    @in_thread
    def log_of_reference(ref_id: str) -> Response:
        """What became of the notifications about something."""
        found = subscribers.log_of_reference(database, ref_id) if _is_id(ref_id) else []
        return _answer([event_log(row) for row in found])


def _find(database: Database, web_hook_id: str) -> AccountRow:
    """The account with an id. Raises _Error where there is none."""
    row = subscribers.find(database, web_hook_id) if _is_id(web_hook_id) else None
    if row is None:
        raise _error(400, 400, "webHookId is invalid: no account has it.")
    return row


def _save(receiver: Receiver, save: Callable[[], AccountRow]) -> Response:
    """Save an account, and let the registry take it up. Raises _Error for a name that is taken."""
    try:
        row = save()
    except subscribers.NameTaken as error:
        raise _error(400, 400, "name is taken by another account. Give another.") from error
    receiver.registry.look()
    return _answer(web_hook(row), warnings=_unknown(row["event_names"]))


def _answer_errors(views: Blueprint) -> None:
    """Errors take the same shape as answers."""

    @views.errorhandler(_Error)
    def refused(error: _Error) -> Response:
        return _answer(None, error.errors, status=error.status)

    @views.errorhandler(BadAddress)
    def bad_address(error: BadAddress) -> Response:
        return failure(400, f"webHookUrl: {error}.")

    @views.errorhandler(Unauthorized)
    def unauthorized(error: Unauthorized) -> Response:
        note_unauthorized(request.path, str(error))
        found = failure(401, str(error))
        found.headers["WWW-Authenticate"] = 'Basic realm="notifications"'
        return found

    @views.errorhandler(StoreUnavailable)
    def unavailable(error: StoreUnavailable) -> Response:
        metrics.turned_away.labels("503").inc()
        log.error("store unavailable", cause=str(error))
        found = failure(503, "It cannot be done right now. Send it again later.")
        found.headers["Retry-After"] = str(RETRY_AFTER)
        return found

    @views.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return failure(error.code or 500, error.description)

    @views.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        log.error("request failed", **fault(error))
        return failure(500, "A fault of ours, which is in the log.")


def failure(status: int, message: str | None) -> Response:
    """An error in the API's shape, whose code is its status."""
    return _answer(None, [{"code": status, "message": message}], status=status)


def _error(status: int, code: int, message: str) -> _Error:
    return _Error(status, [{"code": code, "message": message}])


def _answer(
    data: Json, errors: list[Json] | None = None, *, status: int = 200, warnings: Json = None
) -> Response:
    body = {"data": data, "errors": errors, **({"warnings": warnings} if warnings else {})}
    return Response(json_codec.dumps(body), status, mimetype="application/json")


def _account_values(*, partial: bool = False) -> dict[str, Any]:
    """What the request says of an account, of the types that its schema gives. Raises _Error."""
    try:
        body = json_codec.loads(request.get_data(cache=False).decode())
    except ValueError as error:
        raise _error(400, 400, f"The body cannot be read as JSON: {error}.") from error
    try:
        values: dict[str, Any] = _request.load(cast(dict[str, Json], body), partial=partial)
    except ValidationError as problem:
        raise _Error(400, errors(problem)) from problem
    values.pop("webHookType", None)
    return values


def _unknown(names: Iterable[str]) -> list[Json]:
    """A warning where a name is not in the catalogue: a mapping may send it all the same."""
    return [
        {"code": 400, "message": f"{name} is no event of the catalogue: is it spelt so?"}
        for name in names
        if name not in catalogue()
    ]


def _secret(row: AccountRow) -> Json:
    return {"webHookId": row["id"], "secret": row["secret"]}


def _user() -> str:
    """Who asks, as their credentials have shown."""
    given = request.authorization
    return (given.username if given and given.type == "basic" else None) or ANYBODY


def _is_id(text: str) -> bool:
    """Whether it can be looked for: a database does not take every text."""
    return 0 < len(text) <= 600 and text.isprintable() and json_codec.is_unicode(text)
