"""The worker towards a destination that takes many deliveries at once."""

import threading
from contextlib import contextmanager

from destination.model.delivery import Delivery
from destination.partners.segment.destination import Tracking
from destination.partners.segment.settings import SegmentSettings
from destination.store import schema
from destination.store.queue.enqueue import enqueue
from destination.worker.loop import Worker
from tests.conftest import arrival
from tests.misbehaving import response, server
from tests.store.worker.test_loop import SETTINGS, Engine, rows, settled, until


def tell_segment(database, count):
    made = [
        Delivery(
            mapping="Reward Earned",
            destination="segment",
            action="track",
            customer=f"u{n}",
            payload=f'{{"user_id":"u{n}","event":"Reward Earned","message_id":"m{n}"}}',
        )
        for n in range(count)
    ]
    enqueue(database, [arrival(f"m{n}", deliveries=(each,)) for n, each in enumerate(made)])


@contextmanager
def telling_segment(database, engine):
    with server(engine) as url:
        tracking = Tracking(SegmentSettings(tracking_key="key", tracking_url=url))
        worker = Worker(database, {"segment": tracking}, SETTINGS)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join(15)


def test_a_destination_that_takes_many_at_once_gets_them_together(database):
    tell_segment(database, 12)
    engine = Engine()

    with telling_segment(database, engine):
        until(settled(database))
    assert {row["status"] for row in rows(database).values()} == {"delivered"}
    assert engine.paths == ["/v1/batch"]


def test_of_many_that_are_refused_together_each_is_sent_by_itself(database):
    tell_segment(database, 6)
    engine = Engine()
    engine.scripts = {None: [response(400), response(200), response(400)]}

    with telling_segment(database, engine):
        until(settled(database))
    assert engine.paths == ["/v1/batch", *["/v1/track"] * 6]
    assert sorted(row["status"] for row in rows(database).values()) == ["delivered"] * 5 + [
        "failed"
    ]


def test_one_that_cannot_be_sent_is_parked_and_no_other(database):
    tell_segment(database, 6)
    poisonous = schema.delivery.update().where(schema.delivery.c.payload.contains("u3"))
    with database.writing() as connection:
        connection.execute(poisonous.values(action="nothing that Segment can do"))
    engine = Engine()

    with telling_segment(database, engine):
        until(settled(database))
    found = rows(database)
    assert found.pop("m3")["status"] == "uncertain"
    assert {row["status"] for row in found.values()} == {"delivered"}
