"""Connecting ends in time, whatever a resolver does, and nothing that was not sent is uncertain."""

import socket
import threading
import time
from dataclasses import replace

import pytest

from destination.outbound import dns
from destination.partners.rehook import Rehook, RehookSettings
from destination.store.queue.enqueue import enqueue
from destination.worker.loop import Worker
from tests.conftest import arrival
from tests.misbehaving import answers, response, server
from tests.running import until
from tests.store.worker.test_loop import SETTINGS, Engine, rows, settled

NAME = "engine.example"


@pytest.fixture
def resolver(monkeypatch):
    """A resolver that says nothing of NAME until it is told to; then it says 127.0.0.1."""
    speaks, real = threading.Event(), socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        if host == NAME:
            assert speaks.wait(60)
        return real("127.0.0.1" if host == NAME else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield speaks
    speaks.set()


def asking():
    return [thread for thread in threading.enumerate() if thread.name == "look up"]


def test_a_resolver_that_hangs_holds_nobody_and_one_thread(resolver):
    before, began = len(asking()), time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"engine.example was not resolved in 0.2 seconds"):
            dns.look_up(NAME, 80, 0.2)

    assert time.monotonic() - began < 30
    assert len(asking()) == before + 1


def test_an_award_that_a_resolver_holds_up_past_its_lease_is_sent_once_and_in_order(
    database, resolver
):
    """It lasts as long as two leases."""
    settings = replace(SETTINGS, connect_timeout=0.5, read_timeout=0.5, lease=2.1)
    enqueue(database, [arrival("u1-a"), arrival("u1-b"), arrival("u2-a", "u2")])
    engine = Engine()
    with server(engine) as url:
        rehook = Rehook(RehookSettings(url=url.replace("127.0.0.1", NAME)))
        worker = Worker(database, {"rehook": rehook}, settings)
        thread = threading.Thread(target=worker.run)
        thread.start()
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 2 * settings.lease)
        assert {row["reason"] for row in rows(database).values()} == {"not_sent", None}
        assert engine.arrived == []
        resolver.set()
        until(settled(database))
        worker.stop()
        thread.join(15)
    assert {row["status"] for row in rows(database).values()} == {"delivered"}
    assert engine.of("u1") == ["u1-a", "u1-b"]
    assert engine.of("u2") == ["u2-a"]


def test_the_addresses_of_a_name_share_its_time(monkeypatch):
    """The first one does not answer: its queue is full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    full = [socket.socket() for _ in range(3)]
    for each in full:
        each.setblocking(False)
        each.connect_ex(listener.getsockname())
    with server(answers(response(200))) as url:
        ports = [listener.getsockname()[1], int(url.rpartition(":")[2])]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", p)) for p in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        connection = dns.connect(NAME, 80, timeout=10.0)
        assert connection.getpeername()[1] == ports[1]
        connection.close()
    for each in (*full, listener):
        each.close()
