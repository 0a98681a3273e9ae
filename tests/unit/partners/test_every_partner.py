"""What every partner promises: a new one inherits these tests by being there."""

import json
import re
import threading
from base64 import b64encode
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from destination import partners
from destination.cli import call_files
from destination.errors import BadSetting, Refused, Unauthorized
from destination.model.delivery import Delivery, Status
from destination.model.event import read_event
from destination.model.request import Request
from destination.partners.base.body import Body
from destination.partners.base.destination import Batching
from destination.partners.base.fields import ObjectField
from destination.routing.route import arrive
from destination.settings.tables import PREFIX, Environment, Settings, rows
from destination.store import database as databases
from destination.store.queries import lists
from destination.store.queries.filters import Filter
from destination.store.queue.enqueue import enqueue
from destination.support.json_codec import Json, dumps, loads
from destination.worker.loop import Worker
from tests.conftest import ROOT, arrival
from tests.misbehaving import read_request, response, server
from tests.running import until
from tests.unit.support.test_json_codec import anything

EMPTY = Environment({})
SOURCES = partners.sources(EMPTY)
DESTINATIONS = partners.destinations(EMPTY)
ACTIONS = [
    pytest.param(action, id=f"{name}-{action.name}")
    for name, destination in DESTINATIONS.items()
    for action in destination.actions.values()
]

BATCHING = {name: each for name, each in DESTINATIONS.items() if isinstance(each, Batching)}

#: What a secret setting can be: text, or headers.
CANARIES = ("canary", "X-Canary: canary")


def secret_settings(name):
    """Every secret of a partner, set to something."""
    [table] = [table for table in partners.tables() if f"{PREFIX}{name.upper()}_" == table.PREFIX]
    return Environment(
        {
            setting: next(each for each in CANARIES if readable(table, setting, each))
            for setting, row in rows(table)
            if row.metadata["secret"]
        }
    )


def readable(table, setting, value):
    try:
        return Environment({setting: value}).read(table)
    except BadSetting:
        return None


def protected(name):
    return partners.sources(secret_settings(name))[name]


def notices(name, folder="valid"):
    """The bodies of a source's fixtures, as it sends them."""
    found = call_files.read_all([str(ROOT / "fixtures" / name / folder)])
    return [payload.text.encode() for payload in found]


@pytest.mark.parametrize("name", partners.names())
def test_a_partner_has_the_name_of_its_file(name):
    found = [sides[name].name for sides in (SOURCES, DESTINATIONS) if name in sides]

    assert found
    assert set(found) == {name}


# Sources.


@pytest.mark.parametrize("name", SOURCES)
def test_without_a_credential_a_source_says_that_it_is_open(name):
    assert not SOURCES[name].protected
    assert protected(name).protected


@pytest.mark.parametrize("name", SOURCES)
def test_each_of_the_settings_that_keep_strangers_out_is_enough(name):
    secrets = secret_settings(name).values

    assert SOURCES[name].credentials
    for setting in SOURCES[name].credentials:
        source = partners.sources(Environment({setting: secrets[setting]}))[name]
        assert source.protected


@pytest.mark.parametrize("name", SOURCES)
def test_what_the_source_vouches_for_is_let_in(name):
    for body in (b"", b"{}", *notices(name)):
        protected(name).authenticate(protected(name).vouch(body), Body(raw=body))
        with pytest.raises(Unauthorized):
            SOURCES[name].authenticate({}, Body(raw=body))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer no"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic " + b64encode(b"no:no").decode()},
        {"Authorization": "Basic " + b64encode("é:秘".encode()).decode()},
        {"Authorization": "é"},
        {"X-Signature": "0" * 40},
    ],
)
def test_a_stranger_is_refused_and_told_what_to_set(name, headers):
    with pytest.raises(Unauthorized, match=r"DESTINATION_|settings|secret|header") as refused:
        protected(name).authenticate(headers, Body(raw=b'{"type":"track"}'))
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", SOURCES)
@given(headers=st.dictionaries(st.sampled_from(["Authorization", "X-Canary"]), st.text()))
def test_no_forgery_is_let_in_and_none_breaks(name, headers):
    forged = {key: value.replace("canary", "") for key, value in headers.items()}
    with pytest.raises(Unauthorized):
        protected(name).authenticate(forged, Body(raw=b"{}"))


@pytest.mark.parametrize("name", SOURCES)
@given(body=st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(name, body):
    try:
        calls, batch = SOURCES[name].calls(body)
    except Refused:
        return
    assert batch or len(calls) == 1


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a":NaN}', b"[" * 5000])
def test_a_garbled_body_is_refused(name, body):
    with pytest.raises(Refused):
        SOURCES[name].calls(body)


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_body_again_is_the_same_call(name, setup):
    for body in notices(name):
        [first], _ = SOURCES[name].calls(body)
        [again], _ = SOURCES[name].calls(body)
        routes = setup().routes()
        assert arrive(first, name, routes).message_id == arrive(again, name, routes).message_id


@pytest.mark.parametrize("name", SOURCES)
def test_different_bodies_are_different_calls(name, setup):
    routes = setup().routes()
    bodies = {body for body in notices(name) + notices(name, "invalid") if body.startswith(b"{")}
    ids = []
    for body in bodies:
        try:
            [call], _ = SOURCES[name].calls(body)
        except Refused:
            continue
        ids.append(arrive(call, name, routes).message_id)

    # Two fixtures of Segment are one call, wrapped and bare.
    assert len(set(ids)) >= len(ids) - (name == "segment")


@pytest.mark.parametrize("name", SOURCES)
def test_a_list_of_bodies_is_a_batch_of_them(name):
    bodies = [body for body in notices(name) if body.startswith(b"{")]
    calls, batch = SOURCES[name].calls(b"[" + b",".join(bodies) + b"]")

    assert batch
    assert [call.get("userId") for call in calls] == [
        SOURCES[name].calls(body)[0][0].get("userId") for body in bodies
    ]


# Destinations.


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_destination_can_be_checked_without_changing_anything(name):
    request = DESTINATIONS[name].check()

    if request is not None:
        assert (request.method, request.body, request.idempotent) == ("GET", None, True)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_credentials_are_named_and_never_shown(name):
    destination = partners.destinations(secret_settings(name))[name]

    assert destination.in_use
    assert set(destination.credentials) <= set(secret_settings(name).values)
    sent = " ".join(destination.headers().values())
    hidden = ("canary", b64encode(b"canary:canary").decode(), b64encode(b"canary:").decode())
    assert not destination.credentials or any(each in sent for each in hidden)
    assert "canary" not in repr(destination) + destination.url


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_names_its_customer_and_explains_its_fields(action):
    assert action.fields.fields[action.customer].required
    assert action.code is None or action.code in action.fields.fields
    for field in action.fields.fields.values():
        assert {"label", "description", "default"} <= field.metadata.keys()


@pytest.mark.parametrize("action", ACTIONS)
@given(data=st.data())
def test_any_fields_make_requests_or_an_error_that_names_the_field(action, data):
    names = st.sampled_from([*action.fields.fields, "unknown"])
    fields = data.draw(st.dictionaries(names, anything | st.text()))
    try:
        payload = action.fields.payload(fields)
    except ValidationError as error:
        assert set(error.messages_dict) <= set(action.fields.fields)
        return
    assert isinstance(payload[action.customer], str)
    if action.rule and action.rule(payload):
        return
    for request in action.requests(payload):
        assert request.path.isascii()
        assert request.body is None or loads(request.body) is not None
        request.path.encode(), (request.body or "").encode()


def required_fields(action, customer="u1"):
    """Fields with which an action makes its request."""
    given = {
        name: {"points": 1} if isinstance(field, ObjectField) else "Order Completed"
        for name, field in action.fields.fields.items()
        if field.required
    }
    return {**given, action.customer: customer}


def made(action, fields):
    """What is delivered of these fields: what goes to an endpoint, where there are such."""
    payload = action.fields.payload(fields)
    if action.fan_out is None:
        return payload
    call: dict[str, Json] = {"type": "track", "event": "Any", "userId": "u1", "messageId": "m1"}
    [made] = action.fan_out(payload, read_event(call, source="rehook", max_bytes=1000), "Any")
    return made.payload


@pytest.mark.parametrize("action", ACTIONS)
def test_a_payload_makes_the_same_requests_each_time(action):
    payload = made(
        action, required_fields(action)
    )  # once: a notification has the moment of its making in it

    def requests():
        return [(each.method, each.path, each.body) for each in action.requests(payload)]

    assert requests() == requests()


#: A status, and where an award stands after it, and what may be sent twice.
VERDICTS = {
    200: ("delivered", "delivered"),
    204: ("delivered", "delivered"),
    302: ("failed", "failed"),
    400: ("failed", "failed"),
    404: ("failed", "failed"),
    429: ("pending", "pending"),
    500: ("pending", "pending"),
    501: ("failed", "failed"),
    502: ("uncertain", "pending"),
    503: ("pending", "pending"),
    401: ("pending", "pending"),  # last, since it holds the destination
}


def answer_by_customer(connection):
    """Answers each request with the status that its customer is named for."""
    while request := read_request(connection):
        found = re.search(rb"status-(\d+)", request)
        connection.sendall(response(int(found[1]), b"{}", "Retry-After: 600"))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_answer_means_what_the_table_says(action, tmp_path):
    [destination] = [each for each in DESTINATIONS.values() if action in each.actions.values()]
    sent_twice = action.requests(made(action, required_fields(action)))[-1].idempotent
    database = databases.connect(f"sqlite:///{tmp_path / 'verdicts.db'}")
    database.prepare()

    def receive(status):
        who = f"status-{status}"
        delivery = Delivery(
            mapping="Any",
            destination=destination.name,
            action=action.name,
            customer=who,
            payload=dumps(made(action, required_fields(action, who))),
        )
        enqueue(database, [arrival(who, deliveries=(delivery,))])

    def attempted():
        return all(row["attempts"] for row in lists.deliveries(database))

    with server(answer_by_customer) as url:
        there = copy(destination)
        there.url, there.guard = url, None
        worker = Worker(database, {destination.name: there}, Settings())
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            for status in VERDICTS:  # one after the other, so that none goes along with another
                receive(status)
                until(lambda: attempted() and not records_in(database, "sending"))
        finally:
            worker.stop()
            thread.join(15)

    found = {row["message_id"]: row["status"] for row in lists.deliveries(database)}
    assert found == {
        f"status-{status}": twice if sent_twice else award
        for status, (award, twice) in VERDICTS.items()
    }
    database.engine.dispose()


def records_in(database, status):
    return list(lists.deliveries(database, Filter(status=Status(status))))


@pytest.mark.parametrize("name", BATCHING)
def test_a_batch_takes_requests_in_their_order_and_one_at_least(name):
    small = [
        Request(method="POST", path="/x", body=f'{{"n":{n}}}', idempotent=True) for n in (1, 2)
    ]
    huge = Request(method="POST", path="/x", body=f'{{"n":"{"x" * 10_000_000}"}}', idempotent=True)

    whole, taken = BATCHING[name].batch(small)
    assert taken == 2
    assert whole.body.index('{"n":1}') < whole.body.index('{"n":2}')
    assert loads(whole.body or "")
    assert BATCHING[name].batch([small[0], huge])[1] == 1
    assert BATCHING[name].batch([huge, small[0]])[1] == 1
