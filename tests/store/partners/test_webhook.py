"""Subscribers are told: signed, each in its own lanes, whatever another one does."""

import base64
import hmac
import json
import time
import uuid

import jsonschema
import pytest

from destination.model.delivery import Discard
from destination.model.event import read_event
from destination.partners.webhook.catalogue import catalogue
from destination.partners.webhook.destination import Account, Subscriber, Webhook, WebhookSettings
from destination.partners.webhook.signing import new_secret, signature_headers
from destination.registry import Registry
from destination.routing.route import route
from destination.store import subscribers
from destination.store.queries import lists
from destination.web.notification_schemas import WebHookRequest
from tests.clients import client_of
from tests.conftest import ROOT
from tests.running import until
from tests.subscribers import CALL, HERE, TELL, account, delivering, mappings, subscriber

VALUES = {
    "name": "A",
    "url": "https://a.example/hook?x=1",
    "method": "POST",
    "headers": {"X-Token": "canary"},
    "event_names": ["transactionAdded"],
    "connections": 3,
    "sla": None,
    "active": True,
}


def account_value(**changes):
    values = {key: VALUES[key] for key in ("name", "url", "method", "connections")}
    return Account(
        **{
            "id": "5e9d",
            "event_names": ("transactionAdded",),
            "headers": (("X-Token", "canary"), ("content-type", "application/x+json")),
            "secret": "whsec_" + base64.b64encode(b"k" * 24).decode(),
            **values,
            **changes,
        }
    )


@pytest.fixture
def routed(setup, tmp_path):
    """Routes a call to the accounts given."""

    def routed(call, *subscribed, text=None, **settings):
        made = setup(
            MAPPINGS=mappings(tmp_path, *([text] if text else [])),
            WEBHOOK_ORG_ID="50074",
            **settings,
        )
        made.destinations["webhook"].subscribe(subscribed)
        event = read_event(call, source="segment", max_bytes=9999)
        return route(event, made.routes())

    return routed


def test_a_subscriber_is_told_what_capillary_s_would_be(routed):
    [delivery] = routed(CALL, account_value())
    told = json.loads(delivery.payload)

    assert delivery.destination == "webhook:5e9d"
    assert delivery.customer == "u1"
    assert str(uuid.UUID(told.pop("eventId"))) == delivery.notification.id
    assert told == {
        "eventName": "transactionAdded",
        "orgId": 50074,
        "refId": "50074_38236069",
        "apiRequestId": "m1",
        "createdAt": 1773480413589,
        "data": {
            "customerIdentifiers": {"instore": {"externalId": "u1"}},
            "transactionId": 38236069,
            "amount": 250,
        },
    }


def test_a_behaviour_is_told_in_the_form_of_its_schema(routed):
    properties = {"transactionId": 7, "transactionNumber": "B7"}
    call = {**CALL, "event": "transaction", "properties": properties}
    [delivery] = routed(call, account_value(event_names=("transaction",)))

    jsonschema.validate(json.loads(delivery.payload), catalogue()["transaction"].schema)


def test_each_subscriber_has_a_delivery_and_an_event_id_of_its_own(routed):
    first, second = routed(CALL, account_value(id="1"), account_value(id="2"))

    assert (first.destination, second.destination) == ("webhook:1", "webhook:2")
    assert first.notification.id != second.notification.id


def test_what_nobody_subscribed_to_is_discarded_with_the_reason(routed):
    [discard] = routed(CALL, account_value(event_names=("tierUpgraded",)))

    assert discard.reason == "no_subscriber"


TWICE = {
    name: TELL.replace("name: Tell", f"name: Tell {name}").replace("$.event", name)
    for name in ("transactionAdded", "tierUpgraded")
}


def two_mappings(tmp_path):
    """Two mappings that fire on one event, each with an event name of its own."""
    folder = tmp_path / "two" / "segment-to-webhook"
    folder.mkdir(parents=True)
    for name, text in TWICE.items():
        (folder / f"{name}.yaml").write_text(text)
    return str(folder.parent)


@pytest.mark.parametrize(
    ("subscribed", "made"),
    [
        (["transactionAdded"], ["webhook:5e9d"]),
        (["transactionAdded", "tierUpgraded"], ["webhook:5e9d", "webhook:5e9d"]),
        (["pointsIssued"], ["no_subscriber"]),
    ],
)
def test_that_nobody_subscribed_is_told_once_where_nothing_else_is_made(
    setup, tmp_path, subscribed, made
):
    ours = setup(MAPPINGS=two_mappings(tmp_path))
    ours.destinations["webhook"].subscribe([account_value(event_names=tuple(subscribed))])
    results = route(read_event(CALL, source="segment", max_bytes=9999), ours.routes())

    assert [
        each.reason if isinstance(each, Discard) else each.destination for each in results
    ] == made


def test_data_that_is_not_as_the_catalogue_says_is_discarded(routed):
    call = {**CALL, "event": "pointsIssued", "properties": {"totalPointsIssued": "canary"}}
    [discard] = routed(call, account_value(event_names=("pointsIssued",)))

    assert discard == Discard(
        reason="payload_validation_failed",
        detail="pointsIssued: data.totalPointsIssued must be of type number, as the catalogue of "
        "events says.",
        mapping="Tell",
        destination="webhook",
    )


def test_every_schema_of_the_catalogue_is_one():
    for event in catalogue().values():
        jsonschema.Draft4Validator.check_schema(event.schema)


def request_of(value):
    kind = Webhook(WebhookSettings())
    [request] = Subscriber(value, kind).actions["notify"].requests({"eventId": "e1", "é": 1})
    return request


def expected_signature(key, signed):
    """What Standard Webhooks documents, without the library that signs."""
    return "v1," + base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()


def test_a_notification_is_signed_as_standard_webhooks_says():
    headers = request_of(account_value()).sign(1_700_000_000.9)

    assert headers == {
        "webhook-id": "e1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": expected_signature(b"k" * 24, 'e1.1700000000.{"eventId":"e1","é":1}'),
    }


def test_the_example_of_standard_webhooks_is_signed_as_it_says():
    headers = signature_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body='{"test": 2432232314}',
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_rotated_both_sign():
    old = "whsec_" + base64.b64encode(b"o" * 24).decode()
    request = request_of(account_value(old_secret=old, old_secret_until=1000.0))

    assert len(request.sign(999.0)["webhook-signature"].split(" ")) == 2
    assert len(request.sign(1001.0)["webhook-signature"].split(" ")) == 1


def test_a_subscriber_is_a_destination_of_its_own():
    found = Subscriber(account_value(), Webhook(WebhookSettings()))

    assert (found.name, found.url) == ("webhook:5e9d", "https://a.example")
    assert (found.pacing.concurrency, found.horizon) == (3, 7 * 24 * 3600)
    assert found.headers() == {"X-Token": "canary", "Content-Type": "application/x+json"}
    assert request_of(account_value()).path == "/hook?x=1"
    assert request_of(account_value()).idempotent


def test_an_account_asks_for_no_more_connections_than_the_setting_allows():
    found = Subscriber(account_value(connections=9999), Webhook(WebhookSettings()))

    assert found.pacing.concurrency == 20


def test_a_roster_follows_the_accounts_and_keeps_what_did_not_change(database, setup):
    made = setup()
    registry = Registry(database, made.destinations)
    assert "webhook" not in registry
    assert "rehook" in registry

    one = subscribers.add(database, VALUES, "x")["id"]
    two = subscribers.add(database, {**VALUES, "name": "B"}, "x")["id"]
    assert registry.look()
    before = dict(registry)
    subscribers.change(database, two, {"connections": 5}, "x")
    assert registry.look()
    assert registry[f"webhook:{one}"] is before[f"webhook:{one}"]
    assert registry[f"webhook:{two}"].pacing.concurrency == 5
    subscribers.change(database, one, {"active": False}, "x")
    assert registry.look()
    assert f"webhook:{one}" not in registry
    assert not registry.look()


def test_whoever_goes_through_a_roster_is_not_disturbed_by_the_next_look(database, setup):
    added = subscribers.add(database, VALUES, "x")["id"]
    registry = Registry(database, setup().destinations)
    names, destinations = iter(registry.items()), iter(registry.values())
    subscribers.change(database, added, {"active": False}, "x")
    assert registry.look()

    assert f"webhook:{added}" in dict(names)
    assert len(list(destinations)) == len(registry) + 1


def test_no_secret_of_an_account_is_shown_by_its_representation():
    assert "canary" not in repr(account_value())
    assert "whsec_" not in repr(account_value())


@pytest.fixture
def service(database, setup, tmp_path):
    """A receiver whose subscribers are on this machine, and the setup of a worker for it."""
    url = database.engine.url.render_as_string(hide_password=False)
    made = setup(
        DATABASE_URL=url, MAPPINGS=mappings(tmp_path), READ_TIMEOUT="2", CONNECT_TIMEOUT="1", **HERE
    )
    client = client_of(made)
    yield client
    client.database.engine.dispose()


def subscribe(client, **changes):
    answer = client.post("/v3/webHooks", json=account(**changes))
    assert answer.status_code == 200, answer.get_data()
    return answer.get_json()["data"]["webHookId"]


def statuses(client):
    return sorted(row["status"] for row in lists.deliveries(client.database))


def test_a_notification_arrives_with_the_account_s_headers_and_a_signature(service):
    with subscriber(200) as (url, arrived), delivering(service.setup, service.database):
        made = subscribe(
            service, url=f"{url}/hook", methodType="PUT", webHookHeaders={"AccessToken": "t1"}
        )
        service.post("/webhooks/segment", json=CALL)
        until(lambda: arrived and statuses(service) == ["delivered"])
        secret = service.get(f"/v3/webHooks/{made}/secret").get_json()["data"]["secret"]

    [(headers, body)] = arrived
    assert headers[""] == "PUT /hook HTTP/1.1"
    assert headers["accesstoken"] == "t1"
    assert headers["webhook-id"] == body["eventId"]
    text = lists.delivery(service.database, 1)["payload"]
    assert headers["webhook-signature"] == expected_signature(
        base64.b64decode(secret.removeprefix("whsec_")),
        f"{body['eventId']}.{headers['webhook-timestamp']}.{text}",
    )


def test_the_same_notification_is_sent_again_and_those_behind_it_wait(service):
    with subscriber(429, 200) as (url, arrived), delivering(service.setup, service.database):
        subscribe(service, url=url)
        service.post("/webhooks/segment", json=CALL)
        service.post("/webhooks/segment", json={**CALL, "messageId": "m2"})
        until(lambda: statuses(service) == ["delivered", "delivered"])

    ids = [headers["webhook-id"] for headers, _ in arrived]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 2


def test_a_notification_that_is_refused_is_not_sent_again(service):
    with subscriber(400) as (url, arrived), delivering(service.setup, service.database):
        subscribe(service, url=url)
        service.post("/webhooks/segment", json=CALL)
        until(lambda: statuses(service) == ["failed"])

    assert len(arrived) == 1


def test_a_subscriber_that_refuses_everything_holds_no_other(service):
    with (
        subscriber(401) as (refusing, _),
        subscriber(200) as (well, arrived),
        delivering(service.setup, service.database),
    ):
        held = subscribe(service, url=refusing, name="refusing")
        subscribe(service, url=well, name="well")
        for number in range(5):
            service.post("/webhooks/segment", json={**CALL, "messageId": f"m{number}"})
        until(lambda: len(arrived) == 5)
        until(lambda: lists.holds(service.database))

    assert [hold["destination"] for hold in lists.holds(service.database)] == [f"webhook:{held}"]


def test_a_deactivated_account_is_told_nothing_until_it_is_active_again(service):
    with subscriber(200) as (url, arrived):
        made = subscribe(service, url=url)
        service.post("/webhooks/segment", json=CALL)
        service.delete(f"/v3/webHooks/{made}")
        with delivering(service.setup, service.database):
            answer = service.post("/webhooks/segment", json={**CALL, "messageId": "m2"})
            assert answer.get_json()["results"][0]["reason"] == "no_subscriber"
            assert statuses(service) == ["pending"]
            service.put(f"/v3/webHooks/{made}", json={"active": True})
            until(lambda: statuses(service) == ["delivered"])

    assert [body["apiRequestId"] for _, body in arrived] == ["m1"]


def test_the_check_that_the_page_shows_accepts_what_we_sign_and_nothing_else():
    page = (ROOT / "docs" / "notifications.md").read_text()
    found = {}
    exec(page.partition("```python\n")[2].partition("```")[0], found)
    account = account_value(old_secret=new_secret(), old_secret_until=time.time() + 60)
    request = request_of(account)
    headers, body = request.sign(time.time()), request.body.encode()

    assert found["is_ours"](headers, body, account.secret)
    assert found["is_ours"](headers, body, account.old_secret)
    assert not found["is_ours"](headers, body + b" ", account.secret)
    assert not found["is_ours"](headers, body, new_secret())
    assert not found["is_ours"](request.sign(time.time() - 600), body, account.secret)


def test_the_page_names_every_field_of_an_account():
    page = (ROOT / "docs" / "notifications.md").read_text()

    for name in WebHookRequest().fields:
        assert f"`{name}`" in page
