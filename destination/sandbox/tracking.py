"""A stand-in for the endpoints of Segment's Tracking API: what it takes is written down."""

from hmac import compare_digest

from flask import Blueprint, Response, g, jsonify, request

from destination.sandbox.state import state

tracking = Blueprint("tracking", __name__)

#: What Segment takes: bytes of a call, and of a batch.
MAX_CALL = 32 * 1024
MAX_BATCH = 500 * 1024


@tracking.before_request
def locked() -> tuple[Response, int] | None:
    """401 unless the write key is the user of Basic auth. What Segment answers to a wrong one
    is not documented.
    """
    given = request.authorization
    user = (given and given.username) or ""
    if compare_digest(user.encode(), state().key.encode()):
        return None
    return jsonify(code="unauthorized", message="the write key is wrong"), 401


@tracking.post("/v1/track")
def take_track() -> tuple[Response, int]:
    """Write a track call down, as Segment's Tracking API takes it."""
    return _take([g.body], MAX_CALL)


@tracking.post("/v1/identify")
def take_identify() -> tuple[Response, int]:
    """Write an identify call down, as Segment's Tracking API takes it."""
    return _take([g.body], MAX_CALL)


@tracking.post("/v1/batch")
def take_batch() -> tuple[Response, int]:
    """Write the calls of `{"batch": […]}` down."""
    batch = g.body.get("batch") if isinstance(g.body, dict) else None
    return _take(batch if isinstance(batch, list) else [None], MAX_BATCH)


def _take(given: list[object], limit: int) -> tuple[Response, int]:
    calls = [call for call in given if isinstance(call, dict)]
    if len(request.get_data()) > limit or len(calls) < len(given):
        return jsonify(code="bad_request", message="malformed or too large"), 400
    for call in calls:
        if (call.get("userId") or call.get("anonymousId")) and call.get("type"):
            state().tracked.add(
                call.get("messageId"), call
            )  # Segment, too, drops the others without a word
    return jsonify(success=True), 200
