"""What the sandbox shows of itself: what arrived, whom it knows, what it is."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from destination.sandbox import create_app, listening
from tests.unit.sandbox.client import SandboxSession


class Client(SandboxSession):
    def save(self, source_id: str, **fields: Any) -> requests.Response:
        return self.post("/customers", json={"source_id": source_id, **fields})


@pytest.fixture
def engine() -> Iterator[Client]:
    app = create_app(api_key="key", api_secret="secret")
    with listening(app) as port, Client(port) as client:
        yield client


def test_a_customer_is_listed_with_all_that_is_known_of_it(engine):
    engine.save("anna", referral_code="ANNA")
    engine.save("ben", referral_code="BEN", metadata={"name": "Ben"})
    signup = {"event_name": "signup", "metadata": {"referral_code": "ANNA"}}
    engine.post("/events/invoke", json={**signup, "source_id": "ben"})

    anna, ben = engine.get("/_sandbox/customers").json()
    assert ben.pop("id").startswith("cust_")
    assert all(credit.pop("transaction_id").startswith("trhi_") for credit in ben["transactions"])
    assert ben == {
        "source_id": "ben",
        "referral_code": "BEN",
        "metadata": {"name": "Ben"},
        "points": 75,
        "referred_by": "anna",
        "events": [signup],
        "transactions": [
            {"type": "credit", "points": 50, "description": "signup"},
            {"type": "credit", "points": 25, "description": "referral_friend"},
        ],
    }
    assert [credit["description"] for credit in anna["transactions"]] == ["referral_advocate"]


def test_every_request_is_listed_in_order_with_its_answer(engine):
    engine.save("anna", metadata={"name": "Anna"})
    engine.post("/events/invoke", data="{")
    engine.get("/customers/a%2Fb")

    listed = engine.get("/_sandbox/requests").json()
    assert [list(request) for request in listed] == [
        ["number", "at", "method", "path", "body", "answer"]
    ] * 3
    assert [[request[key] for key in request if key != "at"] for request in listed] == [
        [1, "POST", "/customers", {"source_id": "anna", "metadata": {"name": "Anna"}}, 200],
        [2, "POST", "/events/invoke", "{", 400],
        [3, "GET", "/customers/a%2Fb", None, 404],
    ]


def test_a_request_with_wrong_credentials_is_listed_too(engine):
    engine.get("/events/segment/check-auth", auth=("", ""))

    assert [request["answer"] for request in engine.get("/_sandbox/requests").json()] == [401]


def test_requests_are_filtered_by_the_customer_in_body_or_path(engine):
    for name in ("anna", "ben", "李/ü"):
        engine.save(name)
    engine.get(f"/wallets/customer/{quote('李/ü', safe='')}")

    listed = engine.get("/_sandbox/requests", params={"source_id": "李/ü"}).json()
    assert [request["number"] for request in listed] == [3, 4]


def test_a_reset_forgets_everything(engine):
    engine.save("anna", referral_code="ANNA")
    engine.post("/_sandbox/faults", json={"path": "/customers", "status": 503})

    assert engine.post("/_sandbox/reset").status_code == 204
    assert engine.get("/_sandbox/customers").json() == []
    assert engine.get("/_sandbox/requests").json() == []
    assert engine.get("/_sandbox/faults").json() == []
    assert engine.get("/customers/validate-code/ANNA").status_code == 404


def test_the_front_page_says_what_this_is_and_lists_every_endpoint(engine):
    page = requests.get(f"http://127.0.0.1:{engine.port}/", timeout=10).json()

    assert "practise" in page["what"]
    assert "GET /customers/{source_id}" in page["endpoints"]
    assert all(page["endpoints"].values())
