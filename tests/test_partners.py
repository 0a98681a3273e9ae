"""What every partner promises: a new one inherits these tests by being there."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination import partners
from destination.errors import Refused
from destination.jsontext import loads
from destination.partners import Unauthorized
from destination.settings import PREFIX, Environment, rows
from tests.test_jsontext import anything

EMPTY = Environment({})
SOURCES = partners.sources(EMPTY)
DESTINATIONS = partners.destinations(EMPTY)
ACTIONS = [
    pytest.param(action, id=f"{name}-{action.name}")
    for name, destination in DESTINATIONS.items()
    for action in destination.actions.values()
]


def secret_settings(name):
    """Every secret of a partner, set to something."""
    [table] = [table for table in partners.tables() if f"{PREFIX}{name.upper()}_" == table.PREFIX]
    return Environment(
        {
            setting: "X-Canary: canary" if setting.endswith("_HEADERS") else "canary"
            for setting, row in rows(table)
            if row.metadata["secret"]
        }
    )


@pytest.mark.parametrize("name", SOURCES)
def test_without_a_credential_a_source_says_that_it_is_open(name):
    assert not SOURCES[name].protected
    assert partners.sources(secret_settings(name))[name].protected


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer no"}, {"Authorization": "Basic !"}, {"X-Signature": "0" * 40}],
)
def test_a_stranger_is_refused_and_told_what_to_set(name, headers):
    source = partners.sources(secret_settings(name))[name]

    with pytest.raises(Unauthorized, match=r"DESTINATION_|settings|secret|header") as refused:
        source.authenticate(headers, b'{"type":"track"}')
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", SOURCES)
@given(body=st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(name, body):
    try:
        calls, batch = SOURCES[name].calls(body)
    except Refused:
        return
    assert batch or len(calls) == 1


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_destination_can_be_checked_without_changing_anything(name):
    request = DESTINATIONS[name].check()

    assert request or not DESTINATIONS[name].credentials
    assert request is None or (request.method, request.body, request.idempotent) == (
        "GET",
        None,
        True,
    )


@pytest.mark.parametrize("name", DESTINATIONS)
def test_credentials_are_named_and_never_shown(name):
    destination = partners.destinations(secret_settings(name))[name]

    assert set(destination.credentials) == set(secret_settings(name).values)
    sent = " ".join(destination.headers().values())
    assert (
        not destination.credentials
        or "canary" in sent
        or b64encode(b"canary:canary").decode() in sent
    )
    assert "canary" not in repr(destination) + destination.url


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_names_its_customer_and_explains_its_fields(action):
    assert action.fields.fields[action.customer].required
    assert action.code is None or action.code in action.fields.fields
    for field in action.fields.fields.values():
        assert {"label", "description", "default"} <= field.metadata.keys()


@pytest.mark.parametrize("action", ACTIONS)
@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "source_id",
                "event_name",
                "metadata",
                "referral_code",
                "eventName",
                "customer",
                "data",
            ]
        ),
        anything,
    )
)
def test_any_fields_make_requests_or_an_error_that_names_the_field(action, fields):
    try:
        payload = action.fields.payload(fields)
    except Exception as error:
        assert set(error.messages_dict) <= set(action.fields.fields)
        return
    assert isinstance(payload[action.customer], str)
    for request in action.requests(payload):
        assert request.path.isascii()
        assert request.body is None or loads(request.body) is not None
        request.path.encode(), (request.body or "").encode()
