"""A client of a receiver, through which a test also reaches what stands behind the answers."""

from flask.testing import FlaskClient

from destination.app import Setup
from destination.store.database import Database
from destination.web.app import create_app
from destination.web.receive import Receiver


class Client(FlaskClient):
    setup: Setup
    receiver: Receiver

    @property
    def database(self) -> Database:
        return self.receiver.database


def client_of(setup: Setup) -> Client:
    """A client of a receiver of its own with these settings."""
    receiver = setup.receiver()
    app = create_app(receiver)
    app.test_client_class = Client
    client = app.test_client()
    assert isinstance(client, Client)
    client.setup, client.receiver = setup, receiver
    return client
