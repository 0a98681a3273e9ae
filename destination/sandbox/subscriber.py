"""A stand-in for somebody who subscribed to notifications: what it is told is written down."""

from flask import Blueprint, Response, g, jsonify, request

from destination.sandbox.state import state

subscriber = Blueprint("subscriber", __name__)


@subscriber.before_request
def locked() -> tuple[Response, int] | None:
    """401 unless the notification is signed by the secret of POST /_sandbox/notified."""
    if state().signature.fits(request.headers, request.get_data()):
        return None
    return jsonify(message="the signature does not fit"), 401


@subscriber.post("/subscriber")
def take_notification() -> tuple[Response, int]:
    """Write an event notification down, as a subscriber takes it."""
    if not isinstance(g.body, dict):
        return jsonify(message="a notification is a JSON object"), 400
    told = {"signed": state().signature.known, "notification": g.body}
    state().notified.add(request.headers.get("webhook-id"), told)
    return jsonify(message="thank you"), 200
