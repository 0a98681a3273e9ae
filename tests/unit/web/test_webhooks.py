"""The engines' webhooks at the receiver: who is let in, and what becomes of a notice."""

from base64 import b64encode

import pytest
from click.testing import CliRunner

from destination.cli import main
from destination.store.queries import lists
from tests.clients import client_of

CREATED = {"event_name": "customer.created", "source_id": "ada", "metadata": {"CustomerID": "c"}}
BASIC = {"Authorization": "Basic " + b64encode(b"rehook:secret").decode()}
ISSUED = {
    "id": "we_1",
    "type": "balance.credit_points_issued",
    "data": {"user": {"id": "ada"}, "transaction": {"id": "t", "amount": 5}},
}


@pytest.fixture
def make(setup, tmp_path):
    """Makes a client of the app, with some settings set."""

    def make(**values):
        url = f"sqlite:///{tmp_path / 'webhooks.db'}"
        return client_of(setup(DATABASE_URL=url, SEGMENT_TRACKING_KEY="key", **values))

    return make


def test_a_notice_is_an_event_with_a_delivery_to_segment(make):
    client = make(REHOOK_WEBHOOK_USER="rehook", REHOOK_WEBHOOK_PASSWORD="secret")
    answers = [client.post("/webhooks/rehook", json=CREATED, headers=BASIC) for _ in range(2)]

    assert [answer.get_json()["results"][0]["outcome"] for answer in answers] == [
        "accepted",
        "duplicate",
    ]
    [delivery] = lists.deliveries(client.database)
    assert (delivery["destination"], delivery["lane"]) == ("segment", "ada")


@pytest.mark.parametrize("body", ["", "{}", '{"message":"test"}', "[]", "null", "5"])
def test_the_test_button_gets_its_200(make, body):
    client = make(REHOOK_WEBHOOK_USER="rehook", REHOOK_WEBHOOK_PASSWORD="secret")

    assert client.post("/webhooks/rehook", data=body, headers=BASIC).status_code == 200
    assert client.post("/webhooks/rehook", data=body).status_code == 401


def test_what_is_not_json_is_no_test(make):
    client = make(REHOOK_WEBHOOK_USER="rehook", REHOOK_WEBHOOK_PASSWORD="secret")

    assert client.post("/webhooks/rehook", data="test", headers=BASIC).status_code == 400


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/webhooks/reward?token=long", 200),
        ("/webhooks/reward?token=wrong", 401),
        ("/webhooks/reward?token=", 401),
        ("/webhooks/reward", 401),
    ],
)
def test_the_token_stands_in_the_address(make, address, status):
    client = make(REWARD_WEBHOOK_TOKEN="long")

    assert client.post(address, json=ISSUED).status_code == status


def test_a_source_for_which_no_credential_is_set_is_closed(make):
    """To this machine, too: a proxy's requests all come from it."""
    client = make(SEGMENT_WRITE_KEYS="k")
    answer = client.post("/webhooks/rehook", json=CREATED)

    assert answer.status_code == 401
    assert "DESTINATION_REHOOK_WEBHOOK_USER" in answer.get_json()["message"]
    assert (
        client.post("/v1/track", json={}, headers={"Authorization": "Bearer k"}).status_code != 401
    )


@pytest.mark.parametrize("secret", ["", "abc123"])
def test_the_tracking_api_is_closed_where_there_is_no_write_key(make, secret):
    client = make(REWARD_WEBHOOK_TOKEN="long", SEGMENT_WRITE_KEYS="", SEGMENT_SHARED_SECRET=secret)

    assert client.post("/v1/track", json={"userId": "u", "event": "A"}).status_code == 401
    assert client.post("/webhooks/segment", json={}).status_code == 401
    assert client.post("/webhooks/reward?token=long", json=ISSUED).status_code == 200


def test_mappings_that_wait_for_a_key_are_told_of(monkeypatch):
    listed = CliRunner().invoke(main, ["mappings", "list"], catch_exceptions=False)
    assert (
        "Those to segment are off until DESTINATION_SEGMENT_TRACKING_KEY is set." in listed.output
    )
    assert "Those to rehook" not in listed.output

    monkeypatch.setenv("DESTINATION_SEGMENT_TRACKING_KEY", "key")
    listed = CliRunner().invoke(main, ["mappings", "list"], catch_exceptions=False)
    assert "Those to segment" not in listed.output


def test_check_tells_of_what_is_not_in_use_and_of_what_cannot_be_checked(monkeypatch):
    monkeypatch.setenv("DESTINATION_SEGMENT_TRACKING_KEY", "key")
    told = CliRunner().invoke(main, ["check"], catch_exceptions=False)

    assert told.exit_code == 1  # Rehook's keys are not set
    assert "Reward is not in use: DESTINATION_REWARD_API_KEY is not set." in told.output
    assert "Segment at https://api.segment.io offers nothing to check a key with." in told.output
