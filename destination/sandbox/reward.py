"""Reward's endpoint, as its documentation describes it."""

from datetime import UTC, datetime
from hmac import compare_digest

from flask import Blueprint, Response, g, jsonify, request

from destination.sandbox.engine import new_id
from destination.sandbox.state import state

reward = Blueprint("reward", __name__)


@reward.before_request
def locked() -> Response | None:
    """401 unless the key is there as a Bearer token."""
    given = request.headers.get("Authorization", "")
    if compare_digest(given.encode(), f"Bearer {state().key}".encode()):
        return None
    return _problem(401, "unauthorized", "the API key is wrong")


@reward.post("/v1/triggers/<id:trigger_id>/users/<id:user_id>/events")
def fire_trigger(trigger_id: str, user_id: str) -> Response:
    """Fire a custom trigger of Reward for a user: a point for each whole unit of value.

    Takes `{"value": number}`, which is optional. Tells it by both of Reward's webhooks.
    """
    body = {} if g.body is None else g.body
    if not isinstance(body, dict):
        return _problem(400, "invalid_body", "the body must be a JSON object")
    value = body.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        return _problem(400, "invalid_field", "value must be a number")
    user = {"id": user_id}
    _tell("trigger_event.created", {"user": user, "value": value, "trigger": {"id": trigger_id}})
    if points := int(value or 0):
        transaction = {"id": new_id("txn"), "amount": points}
        _tell("balance.credit_points_issued", {"user": user, "transaction": transaction})
    return jsonify(success=True)


def _tell(type_: str, data: dict[str, object]) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notice: dict[str, object] = {"id": new_id("we"), "type": type_, "time": now, "data": data}
    state().outbox.post("reward", notice)


def _problem(status: int, code: str, message: str) -> Response:
    response = jsonify(error={"code": code, "message": message})
    response.status_code = status
    return response
