"""The door of the engine: a request is written down, failed on purpose, checked, let in."""

import socket
import time
from contextlib import suppress
from hmac import compare_digest
from urllib.parse import unquote

from flask import Response, g, request
from werkzeug.routing import Rule

from destination.sandbox.answers import problem
from destination.sandbox.arrivals import read_body
from destination.sandbox.faults import Misbehaviour
from destination.sandbox.state import state


class Gate:
    """What happens to every request to the engine before and after its endpoint.

    A fault stands before the credentials, as an outage does. The front page and the
    endpoints under `/_sandbox` have no door.
    """

    def __init__(self, *, api_key: str, api_secret: str) -> None:
        self._api_key = api_key.encode()
        self._api_secret = api_secret.encode()

    def let_in(self) -> Response | None:
        """Write the request down; answer it here if a fault or a wrong key says so."""
        g.body = read_body(request.get_data())
        if is_practice(request.path):
            return None
        source_id = _source_id()
        g.arrival = state().arrivals.add(
            method=request.method, path=request.path, body=g.body, source_id=source_id
        )
        g.fault = state().faults.take(_names_of_path(), source_id=source_id)
        return _failed(g.fault) or self._locked()

    def let_out(self, response: Response) -> Response:
        """Note the answer, or cut the connection so that nothing of it leaves."""
        if "arrival" in g:
            if g.fault and g.fault.drop:
                with suppress(OSError):  # the client may be gone already
                    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            else:
                g.arrival.answer = response.status_code
        return response

    def _locked(self) -> Response | None:
        """401 unless the request carries the key and the secret. The body is the sandbox's own.
        Reward's, Segment's and the subscriber's endpoints have locks of their own.
        """
        if request.blueprint in ("reward", "tracking", "subscriber"):
            return None
        given = request.authorization
        user = (given and given.username) or ""
        password = (given and given.password) or ""
        right_key = compare_digest(user.encode(), self._api_key)
        right_secret = compare_digest(password.encode(), self._api_secret)
        if right_key and right_secret:
            return None
        refusal = problem(401, key="authorization", message="the API key or secret is wrong")
        refusal.headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
        return refusal


def is_practice(path: str) -> bool:
    """Whether a path is the sandbox's own and no endpoint of the engine that it plays."""
    return path == "/" or path.startswith("/_sandbox")


def endpoint(rule: Rule) -> str:
    """An endpoint as the front page lists it: `/customers/{source_id}`."""
    return rule.rule.replace("<id:", "{").replace(">", "}")


def _names_of_path() -> set[str]:
    """The names by which a fault may mean this request: its path, and its endpoint's."""
    listed = {endpoint(request.url_rule)} if request.url_rule else set()
    return {request.path, unquote(request.path)} | listed


def _source_id() -> str | None:
    """The customer that the request speaks of, in its path or in its body."""
    body = g.body if isinstance(g.body, dict) else {}
    path = request.view_args or {}
    names = [path.get("source_id"), path.get("user_id"), body.get("source_id"), body.get("userId")]
    return next((name for name in names if isinstance(name, str)), None)


def _failed(fault: Misbehaviour | None) -> Response | None:
    """The answer of a fault that keeps the request from being processed."""
    if fault is None:
        return None
    time.sleep(fault.delay)
    if fault.drop == "before":
        return Response()  # never sent: let_out cuts the connection
    if fault.status is None:
        return None
    response = problem(fault.status, key="fault", message="asked for at /_sandbox/faults")
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response
