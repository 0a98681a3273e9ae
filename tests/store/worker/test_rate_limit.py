"""The worker where a destination is down, slow to allow, or dead beside another."""

import threading
import time
from dataclasses import replace
from itertools import count, pairwise

from destination.model.delivery import Delivery
from destination.partners.rehook import Rehook, RehookSettings
from destination.settings.tables import Pacing
from destination.store.queries import lists
from destination.store.queue import poll
from destination.store.queue.enqueue import enqueue
from destination.worker.loop import Worker
from tests.conftest import arrival
from tests.misbehaving import response, server
from tests.store.worker.test_loop import SETTINGS, Engine, rows, settled, until, working


def test_an_engine_that_is_down_is_found_down_and_well_again(database):
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(60)])
    engine = Engine(**{f"u{n}": [response(503)] * 50 for n in range(60)})
    quick = replace(SETTINGS, breaker_failures=10, breaker_probe=1.0)

    with working(database, engine, quick, concurrency=Pacing().concurrency):
        until(lambda: lists.holds(database))
        assert [hold["reason"] for hold in lists.holds(database)] == ["breaker"]
        assert len(engine.arrived) <= 20
        until(lambda: len(engine.arrived) >= 22)  # it is probed, and nothing else is sent
        assert max(row["attempts"] for row in rows(database).values()) <= 3
        engine.scripts = {}  # it is mended
        until(settled(database))
    assert lists.holds(database) == []
    assert {row["status"] for row in rows(database).values()} == {"delivered"}


def test_one_that_is_forbidden_while_others_are_not_holds_them_no_longer(database):
    engine, numbers = Engine(bad=[response(403)] * 99), count()

    def come():
        number = next(numbers)
        enqueue(database, [arrival(f"good-{number}", f"u{number}")])
        return rows(database)["bad-1"]["status"] == "failed"

    enqueue(database, [arrival("bad-1", "bad")])
    with working(database, engine):
        until(come)
        until(settled(database))
    found = rows(database)
    assert found.pop("bad-1")["reason"] == "http_403"
    assert {row["status"] for row in found.values()} == {"delivered"}
    assert lists.holds(database) == []


def test_one_dead_destination_hurts_no_other(database):
    """One never answers, the other one's deliveries go on as if nothing were."""
    dead = [
        Delivery(
            mapping="D",
            destination="dead",
            action="trackEvent",
            customer=f"u{n}",
            payload=f'{{"event_name":"dead","source_id":"u{n}"}}',
        )
        for n in range(50)
    ]
    enqueue(database, [arrival(f"d{n}", f"u{n}", deliveries=(dead[n],)) for n in range(50)])
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(50)])
    silent, engine = threading.Event(), Engine()

    def never(_):
        silent.wait(30)

    with server(never) as nowhere, server(engine) as url:
        destinations = {
            "dead": Rehook(RehookSettings(url=nowhere)),
            "rehook": Rehook(RehookSettings(url=url)),
        }
        worker = Worker(database, destinations, SETTINGS)
        thread = threading.Thread(target=worker.run)
        thread.start()
        until(lambda: len(engine.arrived) == 50, 10)
        silent.set()
        worker.stop()
        thread.join(20)
    assert rows(database)["m49"]["status"] == "delivered"


def test_what_comes_beside_bulk_is_leased_at_once(database, monkeypatch):
    """What was sent is acknowledged in the next poll. SQLite cannot tell what was queued."""
    turns, real_poll, real_look = [], poll.poll, poll.look

    def turn(database, acks, wanted, terms):
        done = real_poll(database, acks, wanted, terms)
        hurry = bool(wanted) and not any(one.takes_bulk for one in wanted)
        turns.append((hurry, len(acks), [lease.bulk for lease in done.leases]))
        return done

    def only_look(database, wanted):
        turns.append((False, 0, []))  # nothing was finished
        return real_look(database, wanted)

    monkeypatch.setattr(poll, "poll", turn)
    monkeypatch.setattr(poll, "look", only_look)
    made = [arrival(f"bulk{n}", f"b{n}") for n in range(1000)]
    bulk = [replace(one, deliveries=(replace(one.deliveries[0], bulk=True),)) for one in made]
    enqueue(database, bulk)
    engine = Engine()
    with working(database, engine, concurrency=16):
        until(lambda: any(leases for _, _, leases in turns))
        for number in range(50):
            enqueue(database, [arrival(f"m{number}", f"u{number}")])
        until(lambda: len(engine.arrived) == 1050)
    hurried = [(count, leases) for hurry, count, leases in turns if hurry]
    assert any(leases for _, leases in hurried) == (database.engine.dialect.name == "postgresql")
    assert not any(count or any(leases) for count, leases in hurried)
    assert not any(one[0] and next_one[0] for one, next_one in pairwise(turns))


def test_a_rate_limit_spreads_what_is_sent(database):
    enqueue(database, [arrival(f"m{n}", f"u{n}") for n in range(30)])
    engine, began = Engine(), time.monotonic()

    with working(database, engine, rate_limit=20.0):
        until(settled(database))
    assert time.monotonic() - began >= (30 - 2) / 20
    assert {row["attempts"] for row in rows(database).values()} == {1}
