"""The subscribers' API: accounts, errors, the log of what became of a notification."""

import json
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destination.errors import StoreUnavailable
from destination.store import subscribers
from destination.support import logs
from tests.clients import client_for
from tests.subscribers import CALL, HERE, account, mappings
from tests.unit.support.test_json_codec import anything

HOOKS = "/v3/webHooks"

SECURE = account("https://93.184.215.14/hook")


@pytest.fixture
def make(setup, database, tmp_path):
    """Makes a client of the app, with some settings set."""
    receivers = []

    def make(**values):
        url = database.engine.url.render_as_string(hide_password=False)
        made = setup(DATABASE_URL=url, MAPPINGS=mappings(tmp_path), **values)
        receivers.append(made.receiver())
        return client_for(receivers[-1])

    yield make
    for receiver in receivers:
        receiver.database.engine.dispose()


@pytest.fixture
def client(setup, tmp_path):
    """A client of an app whose database does not matter."""
    made = setup(DATABASE_URL=f"sqlite:///{tmp_path / 'api.db'}", MAPPINGS=mappings(tmp_path))
    return client_for(made.receiver())


def added(client, **changes):
    answer = client.post(HOOKS, json={**SECURE, **changes})
    assert answer.status_code == 200, answer.get_data()
    return answer.get_json()["data"]


def codes(answer, status=400):
    found = answer.get_json()
    assert answer.status_code == status, found
    assert found["data"] is None
    assert all(error["message"] for error in found["errors"])
    return [error["code"] for error in found["errors"]]


def without(*names):
    return {name: value for name, value in SECURE.items() if name not in names}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (without("eventNames"), [51003]),
        ({**SECURE, "eventNames": None}, [51003]),
        ({**SECURE, "eventNames": []}, [51003]),
        ({**SECURE, "eventNames": "transactionAdded"}, [400]),
        ({**SECURE, "eventNames": [5]}, [400]),
        ({**SECURE, "eventNames": [None]}, [400]),
        (without("maxAllowedConnections"), [300004]),
        ({**SECURE, "maxAllowedConnections": None}, [300004]),
        ({**SECURE, "maxAllowedConnections": 0}, [51007]),
        ({**SECURE, "maxAllowedConnections": 0.99}, [51007]),
        ({**SECURE, "maxAllowedConnections": -3}, [51007]),
        ({**SECURE, "maxAllowedConnections": "10"}, [400]),
        ({**SECURE, "maxAllowedConnections": True}, [400]),
        ({**SECURE, "maxAllowedConnections": 1e18}, [400]),
        (without("name"), [300004]),
        ({**SECURE, "name": "  "}, [400]),
        ({**SECURE, "name": "a\u0000b"}, [400]),
        (without("webHookUrl"), [300004]),
        ({**SECURE, "webHookUrl": 5}, [400]),
        ({**SECURE, "webHookUrl": "http://93.184.215.14/"}, [400]),
        ({**SECURE, "webHookUrl": "https://169.254.169.254/"}, [400]),
        ({**SECURE, "methodType": "TRACE"}, [400]),
        ({**SECURE, "webHookType": "queue"}, [400]),
        ({**SECURE, "active": "yes"}, [400]),
        ({**SECURE, "slaInSeconds": -1}, [400]),
        ({**SECURE, "webHookHeaders": ["Content-Type"]}, [400]),
        ({**SECURE, "webHookHeaders": {"X": 5}}, [400]),
        ({**SECURE, "webHookHeaders": {"X": "a\r\nHost: internal"}}, [400]),
        ({**SECURE, "webHookHeaders": {"X y": "a"}}, [400]),
        ({**SECURE, "webHookHeaders": {"Host": "internal"}}, [400]),
        ({**SECURE, "webHookHeaders": {"Content-Length": "0"}}, [400]),
        ({**SECURE, "webHookHeaders": {"webhook-signature": "v1,x"}}, [400]),
        ({**SECURE, "webHookHeaders": {"A": "1", "a": "2"}}, [400]),
        ([], [400]),
        ("text", [400]),
        ({}, [51003, 300004, 300004, 300004]),
    ],
)
def test_what_is_wrong_has_the_documented_code(client, body, expected):
    assert sorted(codes(client.post(HOOKS, json=body))) == sorted(expected)
    assert client.get(HOOKS).get_json() == {"data": [], "errors": None}


def test_a_body_that_is_not_json_is_refused(client):
    assert codes(client.post(HOOKS, data=b"{", content_type="application/json")) == [400]
    assert codes(client.post(HOOKS, data=b"\xff", content_type="application/json")) == [400]


def test_what_is_left_out_has_a_default(make):
    made = added(make())

    assert (made["active"], made["methodType"], made["webHookHeaders"]) == (True, "POST", {})
    assert (made["slaInSeconds"], made["noOfRetryAttempts"]) == (None, 0)


def test_a_name_is_unique(make):
    client = make()
    added(client, name="A")
    other = added(client, name="B")["webHookId"]

    assert codes(client.post(HOOKS, json={**SECURE, "name": "A"})) == [400]
    assert codes(client.put(f"{HOOKS}/{other}", json={"name": "A"})) == [400]


def test_a_put_replaces_the_event_names_and_keeps_what_it_does_not_mention(make):
    client = make()
    made = added(client, eventNames=["transactionAdded", "tierUpgraded"], slaInSeconds=5)
    changed = client.put(
        f"{HOOKS}/{made['webHookId']}", json={"eventNames": ["customerAdded", "customerAdded"]}
    ).get_json()["data"]

    assert changed["eventNames"] == ["customerAdded"]
    for key in ("webHookId", "consumerGroupId", "name", "webHookUrl", "slaInSeconds", "active"):
        assert changed[key] == made[key]


def test_a_deleted_account_stays_with_active_false(make):
    client = make()
    made = added(client)
    deleted = client.delete(f"{HOOKS}/{made['webHookId']}").get_json()

    assert deleted["data"]["active"] is False
    assert deleted["data"].keys() == made.keys()
    assert [each["active"] for each in client.get(HOOKS).get_json()["data"]] == [False]
    again = client.put(f"{HOOKS}/{made['webHookId']}", json={"active": True})
    assert again.get_json()["data"]["active"] is True


@pytest.mark.parametrize("account_id", ["000000000000000000000000", "x", "%00", "%ed%a0%80"])
def test_an_account_that_is_not_there_is_a_400(make, account_id):
    client = make()

    assert codes(client.put(f"{HOOKS}/{account_id}", json={})) == [400]
    assert codes(client.delete(f"{HOOKS}/{account_id}")) == [400]


def test_a_name_outside_the_catalogue_is_taken_with_a_warning(make):
    answer = make().post(HOOKS, json={**SECURE, "eventNames": ["transactionAded"]}).get_json()

    assert answer["data"]["eventNames"] == ["transactionAded"]
    assert "transactionAded" in answer["warnings"][0]["message"]


def test_a_secret_is_rotated(make):
    client = make()
    path = f"{HOOKS}/{added(client)['webHookId']}/secret"
    first = client.get(path).get_json()["data"]["secret"]
    second = client.post(path).get_json()["data"]["secret"]

    assert first.startswith("whsec_")
    assert second != first
    assert client.get(path).get_json()["data"]["secret"] == second


def test_no_answer_but_that_of_the_secret_has_it(make):
    client = make()
    made = added(client)
    secret = client.get(f"{HOOKS}/{made['webHookId']}/secret").get_json()["data"]["secret"]

    assert secret not in client.get(HOOKS).get_data(as_text=True)
    assert secret not in json.dumps(made)


def test_an_event_without_a_notification_is_a_404_and_its_lists_are_empty(make):
    client = make()

    for event_id in ("x", "%00", "a" * 700):
        assert codes(client.get(f"{HOOKS}/eventLog/{event_id}"), 404) == [404]
        for kind in ("requestId", "refId"):
            answer = client.get(f"{HOOKS}/eventLog/{kind}/{event_id}/y")
            assert answer.get_json() == {"data": [], "errors": None}


def test_an_event_that_is_not_in_the_catalogue_is_a_404(make):
    assert codes(make().get(f"{HOOKS}/eventMetaData/nothing"), 404) == [404]


def test_what_has_not_been_sent_yet_is_late_when_its_time_is_over(make, database):
    client = make(**HERE)
    added(client, slaInSeconds=60)
    client.post("/webhooks/segment", json=CALL)

    def logged():
        [log] = client.get(f"{HOOKS}/eventLog/requestId/m1").get_json()["data"]
        return log

    early = logged()
    assert (early["eventStartTimestamp"], early["consumerResponse"]) == (None, None)
    assert early["slaBreachTimestamp"] is None
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE event SET received_at = received_at - 3600")
    late = logged()
    begun, breached = late["eventIngestionTimestamp"], late["slaBreachTimestamp"]
    assert breached > begun
    assert breached[:10] >= begun[:10]


def basic(user, password):
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("ada", "wrong"),
        basic("eve", "correct"),
        basic("", ""),
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer correct"},
        {"Authorization": "Basic " + b64encode(b"\xff\xff").decode()},
    ],
)
def test_a_stranger_is_refused_at_every_door(make, headers):
    client = make(NOTIFICATIONS_USER="ada", NOTIFICATIONS_PASSWORD="correct")

    for method, path in (
        ("POST", HOOKS),
        ("GET", HOOKS),
        ("PUT", f"{HOOKS}/x"),
        ("DELETE", f"{HOOKS}/x"),
        ("GET", f"{HOOKS}/x/secret"),
        ("GET", f"{HOOKS}/eventMetaData"),
        ("GET", f"{HOOKS}/eventLog/x"),
    ):
        answer = client.open(path, method=method, headers=headers)
        assert codes(answer, 401) == [401]
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert "correct" not in answer.get_data(as_text=True)


def test_whoever_shows_the_password_is_named_in_the_account(make):
    client = make(NOTIFICATIONS_USER="ada", NOTIFICATIONS_PASSWORD="correct")
    made = client.post(HOOKS, json=SECURE, headers=basic("ada", "correct")).get_json()["data"]

    assert made["attribution"]["createdBy"]["code"] == "ada"


def test_a_request_has_an_id_even_where_it_fails(make):
    client = make()

    ids = {client.get(HOOKS).headers["X-CAP-REQUEST-ID"] for _ in range(2)}
    ids.add(client.post(HOOKS).headers["X-CAP-REQUEST-ID"])
    assert len(ids) == 3


def test_a_store_that_is_away_is_a_503_in_the_same_shape(make, monkeypatch):
    client = make()

    def away(*_):
        raise StoreUnavailable("locked")

    monkeypatch.setattr(subscribers, "listed", away)
    answer = client.get(HOOKS)
    assert codes(answer, 503) == [503]
    assert answer.headers["Retry-After"]


def test_secrets_of_an_account_reach_no_log(make, capfd):
    logs.configure("json")
    client = make(**HERE)
    added(client, webHookHeaders={"AccessToken": "canary"}, webHookUrl="https://a.example/canary")
    client.post(HOOKS, json={**SECURE, "webHookHeaders": {"canary": "canary\n"}})

    assert "canary" not in "".join(capfd.readouterr())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(body=anything | st.fixed_dictionaries({}, optional=dict.fromkeys(SECURE, anything)))
def test_no_body_is_a_fault_of_ours(client, body):
    answer = client.post(HOOKS, json=body)

    assert answer.status_code == 400
    assert answer.get_json()["errors"]


def test_the_api_is_closed_where_no_credential_is_set(make):
    """On loopback, too: a proxy's requests all come from there."""
    answer = make(NOTIFICATIONS_USER="", NOTIFICATIONS_PASSWORD="").get(HOOKS)

    assert answer.status_code == 401
    assert "DESTINATION_NOTIFICATIONS_USER" in answer.get_json()["errors"][0]["message"]
