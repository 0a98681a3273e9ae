"""Capillary's notifications: every wrapper is the same call, the same event is one call."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination.partners.base.credentials import basic
from destination.partners.capillary import Capillary, CapillarySettings
from destination.settings.tables import Environment
from destination.store.queries import lists
from tests.clients import client_of
from tests.conftest import ROOT

FILES = sorted((ROOT / "fixtures" / "capillary").rglob("*.json"))
WRAPPED = [path for path in FILES if path.stem.startswith("points-issued")]
PLAIN = next(path for path in WRAPPED if path.stem == "points-issued")

NOTHING = """
name: Nothing
action: trackEvent
trigger: type = "track"
fields:
  source_id: $.userId
  event_name: $.event
"""


def wire(path):
    fixture = json.loads(path.read_text())
    return fixture.get("body") or json.dumps(fixture["call"])


def call_of(path, **settings):
    [call], _ = Capillary(CapillarySettings(**settings)).calls(wire(path).encode())
    return call


@pytest.fixture
def client(setup, tmp_path):
    path = tmp_path / "mappings" / "capillary-to-rehook" / "nothing.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(NOTHING)
    made = setup(
        DATABASE_URL=f"sqlite:///{tmp_path / 'c.db'}",
        MAPPINGS=str(path.parents[1]),
        CAPILLARY_WEBHOOK_USER="capillary",
        CAPILLARY_WEBHOOK_PASSWORD="secret",
    )
    found = client_of(made)
    found.environ_base["HTTP_AUTHORIZATION"] = basic("capillary", "secret")
    return found


def outcome(answer):
    [result] = answer.get_json()["results"]
    return answer.status_code, result["outcome"], result["reason"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_fixture_becomes_what_it_says(client, path):
    expected = json.loads(path.read_text())["expect"]
    answer = client.post("/webhooks/capillary", data=wire(path))

    if path.stem == "not-json":
        assert answer.status_code == 400
        return
    never = expected.get("reason") == "bad_request"
    assert outcome(answer) == (400 if never else 200, expected["outcome"], expected.get("reason"))


@pytest.mark.parametrize("path", WRAPPED, ids=lambda path: path.stem)
def test_in_every_wrapper_it_is_the_same_call(path):
    call = call_of(path)
    plain = call_of(PLAIN)

    assert (call["type"], call["event"], call["userId"]) == ("track", "pointsIssued", "ada-1")
    assert call["properties"] == plain["properties"]
    assert call["messageId"].startswith("c-")
    assert call["timestamp"].startswith("202")


def test_what_is_around_the_data_stands_in_the_context():
    context = call_of(PLAIN)["context"]["capillary"]

    assert (context["orgId"], context["refId"]) == (50074, "50074_1")


def test_the_same_event_twice_is_one_call(client):
    body = wire(WRAPPED[0])

    assert outcome(client.post("/webhooks/capillary", data=body))[1] == "accepted"
    assert outcome(client.post("/webhooks/capillary", data=body))[1] == "duplicate"
    assert len(list(lists.deliveries(client.database))) == 1


def test_a_repetition_in_another_wrapper_is_the_same_event(client):
    plain = json.loads(wire(PLAIN))
    client.post("/webhooks/capillary", json=plain)

    again = client.post("/webhooks/capillary", json={"event": {"body": {"data": plain}}})
    assert outcome(again)[1] == "duplicate"


def test_a_body_that_is_text_in_the_wrapper_is_read(client):
    body = {"event": {"body": wire(WRAPPED[0])}}

    assert outcome(client.post("/webhooks/capillary", json=body))[1] == "accepted"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("externalId", "ada-1"), ("customerId", 1001), ("email", "ada@example.com")],
)
def test_a_setting_says_which_identifier_is_the_customer(name, expected):
    assert call_of(WRAPPED[0], customer=name)["userId"] == expected


def headers(**given):
    credentials = b64encode(b"till:correct").decode()
    return {"AccessToken": "abc", "Authorization": f"Basic {credentials}", **given}


def test_a_call_shows_all_that_the_account_is_configured_to_send(
    setup, tmp_path, client, monkeypatch
):
    monkeypatch.setenv("DESTINATION_CAPILLARY_WEBHOOK_USER", "till")
    made = setup(
        CAPILLARY_WEBHOOK_PASSWORD="correct", CAPILLARY_WEBHOOK_HEADERS="accesstoken: abc, X-B: d"
    )
    strict = client_of(made)

    def status(**given):
        sent = {name: value for name, value in headers(**{"X-B": "d", **given}).items() if value}
        return strict.post("/webhooks/capillary", data=wire(WRAPPED[0]), headers=sent).status_code

    assert status() == 200
    for wrong in (
        {"AccessToken": "abd"},
        {"AccessToken": ""},
        {"X-B": ""},
        {"Authorization": ""},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer correct"},
    ):
        assert status(**wrong) == 401


def test_headers_that_cannot_be_read_stop_the_start():
    environment = Environment({"DESTINATION_CAPILLARY_WEBHOOK_HEADERS": "canary"})

    with pytest.raises(Exception, match="must be headers such as") as refused:
        environment.read(CapillarySettings)
    assert "canary" not in str(refused.value)


@given(
    body=st.recursive(
        st.none()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "data",
                        "event",
                        "body",
                        "attributes",
                        "eventName",
                        "eventType",
                        "eventId",
                        "createdAt",
                        "customerIdentifiers",
                        "instore",
                        "externalId",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_notification_is_read_or_refused(body):
    calls, _ = Capillary(CapillarySettings()).calls(json.dumps(body).encode())

    for call in calls:
        assert not isinstance(call, dict) or call["event"]
