"""The presets that tell subscribers of the engine's events, by Capillary's names and its own."""

import json
import shutil

import jsonschema
import pytest

from destination.model.event import read_event
from destination.partners.webhook.catalogue import catalogue
from destination.partners.webhook.destination import Account
from destination.routing.route import route
from tests.conftest import ROOT

#: An account that is told of everything.
EVERYTHING = Account(
    id="1",
    name="A",
    event_names=tuple(catalogue()),
    url="https://a.example/",
    method="POST",
    headers=(),
    connections=1,
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
)

WALLET = {"points": 10, "payout": "engine", "wallet": {"points": 10, "transaction_id": "trhi_1"}}
ISSUED = {"transaction": {"id": "txn_1", "amount": 5}, "payout": "engine"}
REWARD = {"points": 100, "payout": "you", "reward": {"redemption_id": "redm_1"}, "wallet": {}}


@pytest.fixture
def told(setup, tmp_path):
    """What is told of an engine's event: notifications by name. The calls of any source are
    alike, so Segment stands in for the engine here.
    """

    def told(engine, event, properties):
        folder = tmp_path / engine
        shutil.copytree(ROOT / "mappings" / f"{engine}-to-webhook", folder / "segment-to-webhook")
        made = setup(MAPPINGS=str(folder))
        made.destinations["webhook"].subscribe([EVERYTHING])
        call = {
            "type": "track",
            "event": event,
            "messageId": "m1",
            "userId": "ada",
            "properties": properties,
        }
        results = route(read_event(call, source="segment", max_bytes=9999), made.routes())
        found = [json.loads(result.payload) for result in results]
        return {each["eventName"]: each for each in found}

    return told


@pytest.mark.parametrize(
    ("event", "properties", "name", "reference", "data"),
    [
        ("customer.created", {"CustomerID": "cust_1"}, "customerAdded", "ada", {}),
        ("customer.updated", {}, "customerUpdated", "ada", {}),
        ("customer.meta.updated", {}, "customerUpdated", "ada", {}),
        ("order_success", {"total": 250}, "transactionAdded", "m1", {"amount": 250}),
        ("order_success", {"total_amount": "250"}, "transactionAdded", "m1", {"amount": 250}),
        ("wallet.credited", WALLET, "pointsIssued", "trhi_1", {"totalPointsIssued": 10}),
        ("wallet.debited", WALLET, "pointsRedeemed", "trhi_1", {"totalPointsRedeemed": 10}),
        ("customer.rewarded", REWARD, "rewardIssued", "redm_1", REWARD),
        ("coupon.rewarded", {"code": "A"}, "CouponIssue", "m1", {"code": "A"}),
        ("coupon.redeemed", {"code": "A"}, "CouponRedeem", "m1", {"code": "A"}),
    ],
)
def test_an_event_of_rehook_is_told_by_both_names(told, event, properties, name, reference, data):
    found = told("rehook", event, properties)

    assert set(found) == {event, name}
    assert found[name]["refId"] == reference
    identifiers = {"customerIdentifiers": {"instore": {"externalId": "ada"}}}
    assert found[name]["data"] == {**identifiers, **data}
    assert found[event]["data"] == {**identifiers, **properties}
    for notification in found.values():
        jsonschema.validate(notification, catalogue()[notification["eventName"]].schema)


def test_points_that_reward_issues_are_told_by_both_names(told):
    found = told("reward", "balance.credit_points_issued", ISSUED)

    assert set(found) == {"balance.credit_points_issued", "pointsIssued"}
    assert found["pointsIssued"]["refId"] == "txn_1"
    assert found["pointsIssued"]["data"]["totalPointsIssued"] == 5
