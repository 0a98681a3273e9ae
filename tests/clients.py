"""A client of a receiver, through which a test also reaches what stands behind the answers."""

from typing import Any

from flask.testing import FlaskClient

from destination.app import Setup
from destination.store.database import Database
from destination.web.app import create_app
from destination.web.receive import Receiver
from tests.conftest import KEY

#: The doors that the tests' own key opens, each with how it is shown.
AUTH = {"/webhooks/segment": (KEY, ""), "/v1/": (KEY, ""), "/v3/": ("tests", KEY)}


class Client(FlaskClient):
    """It shows the tests' own key, unless a request shows another one, or `auth=None`."""

    setup: Setup
    receiver: Receiver

    def open(self, *args: Any, **options: Any) -> Any:
        path = str(args[0]) if args else ""
        shown = next((auth for door, auth in AUTH.items() if path.startswith(door)), None)
        if shown and "Authorization" not in (options.get("headers") or {}):
            options.setdefault("auth", shown)
        return super().open(*args, **options)

    @property
    def database(self) -> Database:
        return self.receiver.database


def client_of(setup: Setup) -> Client:
    """A client of a receiver of its own with these settings."""
    client = client_for(setup.receiver())
    client.setup = setup
    return client


def client_for(receiver: Receiver) -> Client:
    app = create_app(receiver)
    app.test_client_class = Client
    client = app.test_client()
    assert isinstance(client, Client)
    client.receiver = receiver
    return client
