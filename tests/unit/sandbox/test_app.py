"""The sandbox keeps Rehook's contract, as a client meets it on a socket."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import requests

from destination.sandbox import create_app, listening
from tests.unit.sandbox.client import SandboxSession

KEY, SECRET = "sandbox-key", "sandbox-secret"

ENDPOINTS = [
    ("POST", "/customers"),
    ("GET", "/customers/anna"),
    ("GET", "/customers/validate-code/ANNA"),
    ("GET", "/customers/referral/list/anna"),
    ("POST", "/events/invoke"),
    ("GET", "/wallets/customer/anna"),
    ("GET", "/events/segment/check-auth"),
]
STRANGE_IDS = ["KMN@123", "a/b", "//", "a b", "ä 李 🎁", "100%", "a%2Fb", "?x=1", "#1", "a;b", "\n"]


class Client(SandboxSession):
    def save(self, source_id: str, **fields: Any) -> requests.Response:
        return self.post("/customers", json={"source_id": source_id, **fields})

    def invoke(self, event_name: str, source_id: str, **metadata: Any) -> requests.Response:
        body = {"event_name": event_name, "source_id": source_id, "metadata": metadata}
        return self.post("/events/invoke", json=body)

    def customers(self) -> dict[str, Any]:
        return {c["source_id"]: c for c in self.get("/_sandbox/customers").json()}


@pytest.fixture
def engine() -> Iterator[Client]:
    app = create_app(api_key=KEY, api_secret=SECRET)
    with listening(app) as port, Client(port, (KEY, SECRET)) as client:
        yield client


def assert_problem(response: requests.Response, status: int, *, code: int, key: str) -> None:
    body = response.json()
    assert response.status_code == status
    assert list(body) == ["code", "key", "message", "details", "request_id"]
    assert (body["code"], body["key"]) == (code, key)
    assert UUID(body["request_id"])


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("auth", [("", ""), (KEY, "wrong"), ("wrong", SECRET), ("kéy", "秘")])
def test_every_endpoint_refuses_wrong_credentials(engine, method, path, auth):
    auth = tuple(part.encode() for part in auth)
    response = engine.request(method, path, auth=auth, json={"source_id": "anna"})

    assert_problem(response, 401, code=401, key="authorization")
    assert engine.customers() == {}


def test_what_is_no_basic_authentication_is_refused(engine):
    for given in ("Bearer x", "Basic", "Basic %%%", "Basic eA=="):
        response = requests.get(
            f"http://127.0.0.1:{engine.port}/events/segment/check-auth",
            headers={"Authorization": given},
            timeout=10,
        )

        assert_problem(response, 401, code=401, key="authorization")


def test_check_auth_says_ok(engine):
    assert engine.get("/events/segment/check-auth").json() == {"status": "ok"}


def test_a_saved_customer_is_answered_in_rehooks_own_words(engine):
    response = engine.save("anna", metadata={"Name": "Anna"})

    assert response.status_code == 200
    assert list(response.json()) == ["message", "requestId"]
    assert response.json()["message"] == "Request processed sucessfully"
    assert UUID(response.json()["requestId"])


def test_a_customer_shows_its_ids_code_and_properties(engine):
    engine.save("anna", referral_code="ANNA", metadata={"z": 1, "a": [None, "李"]})

    shown = engine.get("/customers/anna").json()
    assert shown.pop("id").startswith("cust_")
    assert shown == {
        "source_id": "anna",
        "referral_code": "ANNA",
        "referral_count": 0,
        "metadata": {"z": 1, "a": [None, "李"]},
    }


def test_metadata_merges_into_what_is_known(engine):
    engine.save("anna", metadata={"name": "Anna", "city": "Bonn"})
    engine.save("anna", metadata={"city": "Köln"})
    engine.save("anna")

    assert engine.get("/customers/anna").json()["metadata"] == {"name": "Anna", "city": "Köln"}


def test_a_customer_keeps_its_id_when_it_is_updated(engine):
    engine.save("anna")
    first = engine.get("/customers/anna").json()
    engine.save("anna", metadata={"name": "Anna"})

    assert engine.get("/customers/anna").json() == {**first, "metadata": {"name": "Anna"}}


def test_a_customer_is_found_by_rehooks_own_id(engine):
    engine.save("anna")
    shown = engine.get("/customers/anna").json()

    assert engine.get(f"/customers/{shown['id']}").json() == shown


@pytest.mark.parametrize("code", [None, "", "absent"])
def test_a_customer_without_a_code_gets_one_of_its_own(engine, code):
    for name in ("anna", "ben"):
        engine.save(name, **({} if code == "absent" else {"referral_code": code}))

    codes = [c["referral_code"] for c in engine.customers().values()]
    assert all(codes)
    assert len(set(codes)) == 2


def test_a_customer_keeps_its_code_when_it_brings_none(engine):
    engine.save("anna", referral_code="ANNA")
    engine.save("anna", referral_code=None)

    assert engine.get("/customers/anna").json()["referral_code"] == "ANNA"


def test_a_new_code_replaces_the_old_one(engine):
    engine.save("anna", referral_code="OLD")
    engine.save("anna", referral_code="NEW")

    assert engine.get("/customers/validate-code/NEW").json()["source_id"] == "anna"
    assert engine.get("/customers/validate-code/OLD").status_code == 404


@pytest.mark.parametrize("newcomer", ["ben", "anna"])
def test_a_code_of_another_customer_is_refused_and_changes_nothing(engine, newcomer):
    engine.save("owner", referral_code="TAKEN")
    engine.save("anna", metadata={"name": "Anna"})
    before = engine.customers()

    response = engine.save(newcomer, referral_code="TAKEN", metadata={"name": "x"})

    assert_problem(response, 400, code=401, key="referral_code")
    assert engine.customers() == before


@pytest.mark.parametrize("path", ["/customers/", "/customers/referral/list/", "/wallets/customer/"])
def test_an_unknown_customer_is_not_found(engine, path):
    assert_problem(engine.get(f"{path}nobody"), 404, code=404, key="source_id")


def test_a_code_leads_to_its_owner_and_no_other_code_does(engine):
    engine.save("anna", referral_code="ANNA")

    owner = engine.get("/customers/validate-code/ANNA")
    assert (owner.status_code, owner.json()["source_id"]) == (200, "anna")
    unknown = engine.get("/customers/validate-code/anna")
    assert_problem(unknown, 404, code=404, key="referral_code")


@pytest.mark.parametrize("name", STRANGE_IDS)
def test_any_text_is_an_id_and_a_code_in_a_path(engine, name):
    engine.save(name, referral_code=name)
    sent = quote(name, safe="")

    assert engine.get(f"/customers/{sent}").json()["source_id"] == name
    assert engine.get(f"/customers/validate-code/{sent}").json()["source_id"] == name
    assert engine.get(f"/customers/referral/list/{sent}").json() == []
    assert engine.get(f"/wallets/customer/{sent}").json()[0]["points"] == 0


def test_an_event_of_an_unknown_customer_creates_it(engine):
    assert engine.invoke("order_success", "anna", mode="UPI").status_code == 200

    customer = engine.customers()["anna"]
    assert customer["events"] == [{"event_name": "order_success", "metadata": {"mode": "UPI"}}]
    assert customer["referral_code"]


def test_a_wallet_shows_its_unit_and_its_balance(engine):
    engine.invoke("signup", "anna")

    (wallet,) = engine.get("/wallets/customer/anna").json()
    assert wallet.pop("wallet_id").startswith("waty_")
    assert wallet == {
        "wallet_name": "Points",
        "currency": "INR",
        "singular_unit_name": "point",
        "plural_unit_name": "points",
        "points": 50,
    }


def test_each_award_is_a_transaction_named_after_its_event(engine):
    engine.invoke("Viewed", "anna")
    engine.invoke("Viewed", "anna")

    first, second = engine.customers()["anna"]["transactions"]
    assert first.pop("transaction_id").startswith("trhi_")
    assert first == {"type": "credit", "points": 1, "description": "Viewed"}
    assert second["transaction_id"].startswith("trhi_")


def test_an_advocate_lists_its_friends_and_counts_them(engine):
    engine.save("anna", referral_code="ANNA")
    for friend in ("ben", "cem"):
        engine.invoke("signup", friend, referral_code="ANNA")

    friends = engine.get("/customers/referral/list/anna").json()
    assert [friend["source_id"] for friend in friends] == ["ben", "cem"]
    assert engine.get("/customers/anna").json()["referral_count"] == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"NaN"])
@pytest.mark.parametrize("path", ["/customers", "/events/invoke"])
def test_a_body_that_is_no_json_object_is_refused(engine, path, body):
    assert_problem(engine.post(path, data=body), 400, code=401, key="body")


@pytest.mark.parametrize(
    ("path", "body", "key", "message"),
    [
        ("/events/invoke", {}, "event_name", "event_name field is required"),
        ("/events/invoke", {"event_name": "", "source_id": "a"}, "event_name", None),
        ("/events/invoke", {"event_name": "e"}, "source_id", "source_id field is required"),
        ("/events/invoke", {"event_name": 7, "source_id": "a"}, "event_name", None),
        ("/events/invoke", {"event_name": "e", "source_id": 7}, "source_id", None),
        ("/events/invoke", {"event_name": "e", "source_id": "a", "metadata": []}, "metadata", None),
        ("/customers", {}, "source_id", "source_id field is required"),
        ("/customers", {"source_id": None}, "source_id", "source_id field is required"),
        ("/customers", {"source_id": "a", "referral_code": 7}, "referral_code", None),
        ("/customers", {"source_id": "a", "metadata": "x"}, "metadata", None),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(engine, path, body, key, message):
    response = engine.post(path, json=body)

    assert_problem(response, 400, code=401, key=key)
    assert response.json()["details"] == response.json()["message"]
    assert message in (None, response.json()["message"])
    assert engine.customers() == {}


def test_an_unknown_path_is_answered_in_the_same_shape(engine):
    assert_problem(engine.get("/campaigns/meta-data"), 404, code=404, key="request")


def test_a_wrong_method_is_answered_with_the_right_one(engine):
    response = engine.get("/events/invoke")

    assert_problem(response, 405, code=405, key="request")
    assert "POST" in response.headers["Allow"]
