"""Subscribers come, change and go: what is for one of them never reaches another."""

import threading
import time

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.store import database as databases
from destination.store.queries import lists
from tests.clients import client_of
from tests.misbehaving import read_request, response, server
from tests.running import until
from tests.subscribers import CALL, HERE, account, delivering, mappings, subscriber

HOOKS = "/v3/webHooks"


@pytest.fixture
def client(database, setup, tmp_path, monkeypatch):
    """A client of a receiver on each database, which commands use too."""
    monkeypatch.setattr(databases, "connect", lambda _: database)
    for name, value in HERE.items():
        monkeypatch.setenv(f"DESTINATION_{name}", value)
    monkeypatch.setenv("DESTINATION_MAPPINGS", mappings(tmp_path))
    return client_of(setup())


def subscribe(client, url, name="A", **changes):
    answer = client.post(HOOKS, json=account(url, name, **changes))
    return f"{HOOKS}/{answer.get_json()['data']['webHookId']}"


def send(client, number):
    client.post("/webhooks/segment", json={**CALL, "messageId": f"m{number}"})


def statuses(client):
    return [row["status"] for row in lists.deliveries(client.database)]


def settled(client):
    return not {"pending", "sending"} & set(statuses(client))


class Lasting:
    """A subscriber whose connections stay open until the other side closes them."""

    def __init__(self):
        self.arrived, self.ended = 0, threading.Event()

    def __call__(self, connection):
        while read_request(connection):
            self.arrived += 1
            connection.sendall(response(200))
        self.ended.set()


@pytest.mark.parametrize("change", ["deactivated", "moved"])
def test_the_connections_of_a_subscriber_that_goes_are_given_up(client, change):
    lasting = Lasting()
    with (
        server(lasting) as url,
        subscriber() as (other, arrived),
        delivering(client.setup, client.database),
    ):
        made = subscribe(client, url)
        send(client, 1)
        until(lambda: lasting.arrived == 1 and settled(client))
        if change == "deactivated":
            client.delete(made)
        else:
            client.put(made, json={"webHookUrl": other})
        until(lasting.ended.is_set, 10)
        send(client, 2)
        until(lambda: settled(client) and len(arrived) == (change == "moved"))

    assert lasting.arrived == 1


def test_what_is_under_way_to_a_subscriber_that_goes_is_finished(client):
    begun, goes_on = threading.Event(), threading.Event()

    def slow(connection):
        read_request(connection)
        begun.set()
        goes_on.wait(30)
        connection.sendall(response(200))

    with server(slow) as url, delivering(client.setup, client.database) as worker:
        made = subscribe(client, url)
        send(client, 1)
        until(begun.is_set)
        client.delete(made)
        until(lambda: f"webhook:{made.rpartition('/')[2]}" not in worker._destinations)
        goes_on.set()
        until(lambda: settled(client))

    assert statuses(client) == ["delivered"]


def replay_failed():
    result = CliRunner().invoke(main, ["replay", "--failed"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "leave",
    [
        lambda client, made: client.delete(made),
        lambda client, made: client.put(made, json={"eventNames": ["tierUpgraded"]}),
    ],
    ids=["deactivated", "unsubscribed"],
)
def test_a_failure_of_one_that_has_left_is_never_replayed_to_another(client, leave):
    with (
        subscriber(400) as (refusing, refused),
        subscriber() as (well, arrived),
        delivering(client.setup, client.database),
    ):
        left = subscribe(client, refusing, "A")
        send(client, 1)
        until(lambda: statuses(client) == ["failed"])
        subscribe(client, well, "B")
        leave(client, left)
        assert "0 of 1 failed deliveries" in replay_failed()
        send(client, 2)
        until(lambda: len(arrived) == 1 and settled(client))

    assert [body["apiRequestId"] for _, body in arrived] == ["m2"]
    assert len(refused) == 1
    assert sorted(statuses(client)) == ["delivered", "failed"]


def test_a_failure_of_one_that_has_stayed_is_replayed_to_it_alone(client):
    with (
        subscriber(400, 200) as (mended, arrived),
        subscriber() as (well, others),
        delivering(client.setup, client.database),
    ):
        subscribe(client, mended, "A")
        send(client, 1)
        until(lambda: statuses(client) == ["failed"])
        subscribe(client, well, "B")
        assert "1 of 1 failed deliveries" in replay_failed()
        until(lambda: statuses(client) == ["delivered"])

    first, again = (body["eventId"] for _, body in arrived)
    assert first == again
    assert others == []


def test_no_more_requests_are_under_way_than_an_account_allows_however_many_workers(client):
    lock, under_way, most = threading.Lock(), 0, 0

    def counting(connection):
        nonlocal under_way, most
        while read_request(connection):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.05)  # so that others come beside it, were they allowed to
            with lock:
                under_way -= 1
            connection.sendall(response(200))

    with (
        server(counting) as url,
        delivering(client.setup, client.database),
        delivering(client.setup, client.database),
    ):
        subscribe(client, url, maxAllowedConnections=3)
        calls = [{**CALL, "messageId": f"m{n}", "userId": f"u{n}"} for n in range(40)]
        client.post("/webhooks/segment", json=calls)
        until(lambda: settled(client) and len(statuses(client)) == 40)

    assert most == 3
