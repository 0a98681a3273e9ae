"""The sandbox as a Flask app: the endpoints that it plays behind a door, and those for practice."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from destination.sandbox.answers import problem
from destination.sandbox.arrivals import RecordedRequests
from destination.sandbox.door import Gate
from destination.sandbox.engine import Engine
from destination.sandbox.faults import Misbehaviours
from destination.sandbox.once import Once
from destination.sandbox.outbox import Outbox
from destination.sandbox.practice import practice
from destination.sandbox.rehook import rehook
from destination.sandbox.reward import reward
from destination.sandbox.rules import RULES, load
from destination.sandbox.signature import Signature
from destination.sandbox.state import State
from destination.sandbox.subscriber import subscriber
from destination.sandbox.tracking import tracking


class Json(DefaultJSONProvider):
    """Writes keys in the order in which they came."""

    sort_keys = False


class Sandbox(Flask):
    """Routes a path as it was sent, still percent-encoded, so that an id may hold a slash."""

    json_provider_class = Json

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = urlsplit(environ["REQUEST_URI"]).path
        return super().wsgi_app(environ, start_response)


class IdConverter(BaseConverter):
    """An id or a code in a path: one segment, decoded once it stands alone."""

    def to_python(self, value: str) -> str:
        return unquote(value)


def create_app(
    *,
    api_key: str,
    api_secret: str,
    rules: Path | None = None,
    webhooks: Mapping[str, str] = {},
) -> Sandbox:
    """A sandbox that knows nobody yet.

    `webhooks`: the addresses to which `rehook` and `reward` tell what happens, with a user and
    a password where they want them.

    `rules` is a file of earning rules; without one the rules beside this module hold.
    Raises RulesError, which names the file, the key and the remedy.
    """
    app = Sandbox(__name__, static_folder=None)
    outbox = Outbox(webhooks)
    app.extensions["sandbox"] = State(
        engine=Engine(load(rules or RULES), tell=partial(outbox.post, "rehook")),
        arrivals=RecordedRequests(),
        faults=Misbehaviours(),
        outbox=outbox,
        tracked=Once(),
        notified=Once(),
        signature=Signature(),
        key=api_key,
    )
    door = Gate(api_key=api_key, api_secret=api_secret)
    app.before_request(door.let_in)
    app.after_request(door.let_out)
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False
    app.register_blueprint(rehook)
    app.register_blueprint(reward)
    app.register_blueprint(tracking)
    app.register_blueprint(subscriber)
    app.register_blueprint(practice)
    app.register_error_handler(HTTPException, _no_such_thing)
    return app


def _no_such_thing(error: HTTPException) -> Response:
    """Unknown paths and methods, and accidents, in the engine's own shape of an error."""
    response = problem(error.code or 500, key="request", message=error.description or error.name)
    response.headers.extend((k, v) for k, v in error.get_headers() if k == "Allow")
    return response
