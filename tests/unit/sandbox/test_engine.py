"""The engine awards what its rules say, to those to whom it belongs, once."""

import pytest

from destination.sandbox.engine import Engine, EngineEvent
from destination.sandbox.rules import RULES, load


class Practised(Engine):
    """An engine with the rules that ship, in a test's own words."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []
        super().__init__(load(RULES), tell=self.told.append)

    def add(self, source_id: str, code: str) -> None:
        assert self.save(source_id, referral_code=code, metadata={})

    def does(self, source_id: str, event: str, **metadata: object) -> None:
        self.invoke(EngineEvent(name=event, metadata=metadata), source_id=source_id)

    def points(self, source_id: str) -> int:
        customer = self.customer(source_id)
        assert customer is not None
        return customer.points


@pytest.fixture
def engine() -> Practised:
    return Practised()


@pytest.mark.parametrize(
    ("event", "metadata", "points"),
    [
        ("signup", {}, 50),
        ("order_success", {"total_amount": "250"}, 25),
        ("Order Completed", {"total": 109.99}, 10),
        ("Product Viewed", {"price": 1000}, 1),
    ],
)
def test_the_rules_that_ship_award_points(engine, event, metadata, points):
    engine.does("anna", event, **metadata)

    assert engine.points("anna") == points


def test_an_event_that_earns_nothing_makes_no_transaction(engine):
    engine.does("anna", "Order Completed", total=0)

    assert engine.customer("anna").transactions == ()


def test_a_customers_events_are_kept_in_order(engine):
    for number in range(20):
        engine.does("anna", f"event {number}")

    names = [event.name for event in engine.customer("anna").events]
    assert names == [f"event {number}" for number in range(20)]


def test_a_referral_rewards_the_advocate_and_the_friend(engine):
    engine.add("anna", "ANNA")
    engine.does("ben", "signup", referral_code="ANNA")

    assert engine.points("anna") == 100
    assert engine.points("ben") == 50 + 25
    assert engine.customer("ben").referred_by == "anna"


@pytest.mark.parametrize("code", ["BEN", "UNKNOWN", "", None, 7, ["ANNA"]])
def test_only_the_code_of_another_customer_refers(engine, code):
    engine.add("anna", "ANNA")
    engine.add("ben", "BEN")
    engine.does("ben", "signup", referral_code=code)

    assert (engine.points("anna"), engine.points("ben")) == (0, 50)


def test_a_friend_is_referred_once(engine):
    engine.add("anna", "ANNA")
    engine.add("cem", "CEM")
    for code in ("ANNA", "ANNA", "CEM"):
        engine.does("ben", "signup", referral_code=code)

    assert (engine.points("anna"), engine.points("cem")) == (100, 0)


def test_a_code_on_an_event_that_is_no_conversion_refers_nobody(engine):
    engine.add("anna", "ANNA")
    engine.does("ben", "order_success", referral_code="ANNA")

    assert engine.points("anna") == 0


def test_a_code_can_be_taken_over_once_its_owner_has_another(engine):
    engine.add("anna", "ANNA")
    engine.add("anna", "ANNA2")
    engine.add("ben", "ANNA")

    assert engine.owner("ANNA").source_id == "ben"
