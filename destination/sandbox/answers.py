"""The bodies with which the engine answers, in Rehook's own shapes."""

from uuid import uuid4

from flask import Response, jsonify


def processed() -> Response:
    """200: taken in and the rules run. The spelling is Rehook's."""
    return jsonify(message="Request processed sucessfully", requestId=str(uuid4()))


def problem(status: int, *, key: str, message: str) -> Response:
    """An error: `{"code", "key", "message", "details", "request_id"}`, as the reference has it.

    Only the 400 is documented; the sandbox answers every other status in the same shape.
    """
    response = jsonify(
        # A 400 carries 401 in its body, as the documentation's own samples do.
        code=401 if status == 400 else status,
        key=key,
        message=message,
        details=message,
        request_id=str(uuid4()),
    )
    response.status_code = status
    return response
