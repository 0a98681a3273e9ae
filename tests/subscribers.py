"""What the tests of subscribers share: a mapping that tells of every track call, and a subscriber."""

import json
import threading
from contextlib import contextmanager

from destination.registry import Registry
from destination.support.json_codec import Json
from destination.worker.loop import Worker
from tests.misbehaving import read_request, response, server

#: Subscribers of tests are on this machine.
HERE = {"WEBHOOK_ALLOW_PRIVATE": "yes", "WEBHOOK_ALLOW_HTTP": "yes", "WEBHOOK_ORG_ID": "50074"}

TELL = """
name: Tell
action: notify
trigger: type = "track"
fields:
  eventName: $.event
  customer: $.userId
  refId: $.properties.transactionId
  apiRequestId: $.messageId
  data: $.properties
"""

CALL: dict[str, Json] = {
    "type": "track",
    "event": "transactionAdded",
    "messageId": "m1",
    "userId": "u1",
    "timestamp": "2026-03-14T09:26:53.589Z",
    "properties": {"transactionId": 38236069, "amount": 250},
}


def mappings(folder, text=TELL):
    """A folder of mappings with one, which tells subscribers of what Segment sends."""
    path = folder / "tell" / "segment-to-webhook" / "tell.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return str(path.parents[1])


def account(url, name="A", **changes):
    return {
        "name": name,
        "webHookUrl": url,
        "eventNames": ["transactionAdded"],
        "maxAllowedConnections": 2,
        **changes,
    }


@contextmanager
def subscriber(*statuses):
    """A subscriber that answers with these statuses, the last one for ever; its address, and
    what arrived: (headers by lower-case name, body).
    """
    arrived, left = [], list(statuses or [200])

    def script(connection):
        while request := read_request(connection):
            head, _, body = request.decode().partition("\r\n\r\n")
            lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
            headers = {name.lower(): value for name, _, value in lines}
            arrived.append(({**headers, "": head.split("\r\n")[0]}, json.loads(body)))
            connection.sendall(response(left.pop(0) if len(left) > 1 else left[0]))

    with server(script) as url:
        yield url, arrived


@contextmanager
def delivering(setup, database):
    """A worker that delivers to the subscribers of the database."""
    registry = Registry(database, setup.destinations)
    worker = Worker(database, registry, setup.settings)
    end_watching = registry.watch(worker.wake)
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        yield worker
    finally:
        end_watching()
        worker.stop()
        running.join(20)
