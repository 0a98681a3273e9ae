"""The sandbox stands in for a subscriber, and checks signatures by itself."""

import time

import pytest
import requests

from destination.partners.webhook.signing import new_secret, signature_headers
from destination.sandbox import create_app, listening

SECRET = new_secret()
BODY = '{"eventId":"e1","é":1}'


@pytest.fixture
def url():
    with listening(create_app(api_key="key", api_secret="secret")) as port:
        yield f"http://127.0.0.1:{port}"


def tell(url, body=BODY, secret=SECRET, at=0.0):
    headers = signature_headers(
        [new_secret(), secret], message_id="e1", timestamp=int(time.time() + at), body=body
    )
    return requests.post(
        f"{url}/subscriber", data=body.encode(), headers=headers, timeout=10
    ).status_code


def learn(url, secret=SECRET):
    return requests.post(f"{url}/_sandbox/notified", json={"secret": secret}, timeout=10)


def notified(url):
    return requests.get(f"{url}/_sandbox/notified", timeout=10).json()


def test_a_notification_is_kept_once(url):
    assert [tell(url), tell(url)] == [200, 200]
    assert notified(url) == [{"signed": False, "notification": {"eventId": "e1", "é": 1}}]


def test_a_notification_that_is_signed_by_the_account_s_secret_is_taken(url):
    assert learn(url).status_code == 201
    assert tell(url) == 200
    assert [each["signed"] for each in notified(url)] == [True]


@pytest.mark.parametrize(
    "forged", [{"secret": new_secret()}, {"at": -600.0}, {"at": 600.0}], ids=["key", "old", "ahead"]
)
def test_one_that_is_not_is_refused(url, forged):
    learn(url)

    assert tell(url, **forged) == 401
    assert requests.post(f"{url}/subscriber", data=BODY.encode(), timeout=10).status_code == 401
    assert notified(url) == []


@pytest.mark.parametrize("secret", [None, 5, "abc", "whsec_", "whsec_!", "whsec_é"])
def test_what_is_no_secret_is_refused(url, secret):
    assert learn(url, secret).status_code == 400
    assert tell(url) == 200


def test_a_notification_is_an_object(url):
    assert tell(url, body="[]") == 400


def test_a_reset_forgets_what_was_told_and_the_secret(url):
    learn(url)
    tell(url)
    requests.post(f"{url}/_sandbox/reset", timeout=10)

    assert notified(url) == []
    assert tell(url, secret=new_secret()) == 200


def test_it_misbehaves_on_demand(url):
    fault = {"path": "/subscriber", "status": 503}
    assert requests.post(f"{url}/_sandbox/faults", json=fault, timeout=10).status_code == 201

    assert [tell(url), tell(url)] == [503, 200]
