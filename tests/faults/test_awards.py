"""An unknown answer never awards twice, whatever became of the request."""

import pytest

from destination.store.queries import lists
from tests.faults.conftest import order
from tests.faults.judge import judge
from tests.faults.proxy import FATES
from tests.running import until

#: The answers after which nobody knows what the engine did.
UNKNOWN = [
    "gateway",
    "reset unread",
    "reset",
    "half",
    "late",
    "garbage",
    "dripping",
    "headers",
]


def rows(scene):
    return {row["message_id"]: row for row in lists.deliveries(scene.database)}


def settled(scene, count):
    found = [row["status"] for row in rows(scene).values()]
    return len(found) == count and not {"pending", "sending"} & set(found)


def verdict(scene, *work):
    sent = {call["messageId"] for calls in work for call in calls}
    return judge(scene.database, scene.arrived(), work, sent)


def test_an_award_whose_answer_is_lost_is_uncertain_and_its_customer_goes_on(scene):
    scene.engine(**{f"c{n}": [answer] for n, answer in enumerate(UNKNOWN)})
    scene.receivers()
    work = [[order(f"c{n}", 1), order(f"c{n}", 2)] for n in range(len(UNKNOWN))]
    scene.send(*(call for calls in work for call in calls))
    scene.worker()
    until(lambda: settled(scene, 2 * len(UNKNOWN)))

    assert {name: row["status"] for name, row in rows(scene).items()} == {
        f"c{n}-{number}": "uncertain" if number == 1 else "delivered"
        for n in range(len(UNKNOWN))
        for number in (1, 2)
    }
    assert len(scene.arrived()) == 2 * len(UNKNOWN)
    assert verdict(scene, *work).well


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)  # the network knows no database
@pytest.mark.parametrize("fate", FATES)
def test_a_connection_that_fails_awards_once_at_most(scene, fate):
    scene.engine(first=fate)
    scene.receivers()
    work = [[order("ada", number) for number in (1, 2, 3)]]
    scene.send(*work[0])
    scene.worker()
    until(lambda: settled(scene, 3))

    assert [row["status"] for row in rows(scene).values()].count("uncertain") <= 1
    assert verdict(scene, *work).well
