"""The start names each closed door, and says which of them former versions had open."""

import pytest
from structlog.testing import capture_logs

from destination.cli import doors
from destination.store.queue.enqueue import enqueue
from tests.conftest import arrival


@pytest.fixture
def told(setup, database):
    """What the start logs with these settings: the message and the setting, by door."""

    def told(**settings):
        with capture_logs() as lines:
            doors.tell_closed(setup(**settings), database)
        return {line["door"]: (line["event"], line["opened_by"]) for line in lines}

    return told


def test_a_door_with_a_credential_is_not_named(told):
    none = {"NOTIFICATIONS_USER": "", "NOTIFICATIONS_PASSWORD": ""}
    assert set(told(SEGMENT_WRITE_KEYS="key", REWARD_WEBHOOK_TOKEN="hush", **none)) == {
        "/webhooks/capillary",
        "/webhooks/rehook",
        "/v3/webHooks",
    }


def test_a_closed_door_is_named_with_the_setting_that_opens_it(told):
    assert told()["/webhooks/reward"] == (
        "door closed: no credential is set",
        "DESTINATION_REWARD_WEBHOOK_TOKEN",
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_receiver_on_loopback_that_has_kept_events_had_its_doors_open(told, database, host):
    enqueue(database, [arrival("m1")])

    said = {event for event, _ in told(HOST=host).values()}
    assert said == {"door closed, and open in former versions: no credential is set"}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "receiver.example.com"])
def test_a_receiver_that_other_machines_reach_had_them_closed(told, database, host):
    enqueue(database, [arrival("m1")])

    assert {event for event, _ in told(HOST=host).values()} == {"door closed: no credential is set"}
