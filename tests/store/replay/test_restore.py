"""What the page on deployment says about a restored database: no award is paid twice."""

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from destination import partners
from destination.model.delivery import Status
from destination.settings.tables import Environment
from destination.store import schema
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queue import poll, rate_limit
from destination.store.queue.enqueue import enqueue
from destination.store.queue.rate_limit import Capacity, Terms
from destination.store.replay.retry import send_again
from tests.conftest import ROOT, arrival

UNCERTAIN = Filter(status=Status.UNCERTAIN)
PAGE = (ROOT / "docs" / "deployment.md").read_text()


@pytest.fixture
def restored(database):
    """A database as a back-up finds it: an award under way, another behind it, and a customer."""
    first, second, customer = arrival("a-1"), arrival("a-2"), arrival("b-1", "u2")
    customer = of_action(customer, "identifyUser")
    enqueue(database, [first])
    lease(database)
    enqueue(database, [second, customer])
    return database


def of_action(made, action):
    [delivery] = made.deliveries
    return replace(made, deliveries=(replace(delivery, action=action, mapping=action),))


def lease(database):
    rate_limit.register(database, ["rehook"])
    wanted = [Capacity(destination="rehook", room=10)]
    return poll.poll(database, [], wanted, Terms(lease=0.0)).leases


def park(database):
    [written] = [
        block for block in re.findall(r"```sql\n(.*?)```", PAGE, re.S) if "restored" in block
    ]
    with database.writing() as connection:
        for statement in filter(str.strip, written.split(";")):
            connection.execute(sa.text(statement))


def test_after_a_restore_only_customers_are_sent(restored):
    park(restored)

    assert [each.action for each in lease(restored)] == ["identifyUser"]
    assert lists.counts(restored) == {"uncertain": 2, "sending": 1}


def test_parked_awards_keep_no_lane_busy_and_are_sent_when_somebody_says_so(restored):
    park(restored)
    with restored.reading() as connection:
        ready = schema.lane.c.ready_at.is_not(None)
        lanes = connection.execute(sa.select(schema.lane.c.customer).where(ready)).scalars().all()

    assert lanes == ["u2"]
    uncertain = [row["id"] for row in lists.deliveries(restored)]
    assert len(send_again(restored, uncertain, Status.UNCERTAIN, destinations={})) == 2
    assert [each.action for each in lease(restored)].count("trackEvent") == 1


def test_the_awards_of_every_engine_are_parked(database):
    settings = {
        "DESTINATION_REHOOK_API_KEY": "k",
        "DESTINATION_REWARD_API_KEY": "k",
        "DESTINATION_SEGMENT_WRITE_KEY": "k",
    }
    actions = {
        name: action
        for destination in partners.destinations(Environment(settings)).values()
        for name, action in destination.actions.items()
    }
    enqueue(database, [of_action(arrival(f"m-{name}", name), name) for name in actions])
    park(database)

    uncertain = {row["mapping"] for row in lists.deliveries(database, UNCERTAIN)}
    assert uncertain == {name for name, action in actions.items() if action.fields.awards}
    assert len(uncertain) >= 2
