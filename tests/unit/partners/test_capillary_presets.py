"""The presets that send Capillary's notifications on to Segment."""

import pytest

from destination.cli import call_files
from destination.routing.route import arrive
from destination.support.json_codec import loads
from tests.conftest import ROOT

FIXTURES = ROOT / "fixtures" / "capillary" / "valid"

#: What Segment is told of each notification.
TOLD: dict[str, list[tuple[str, dict[str, object]]]] = {
    "coupon-issue": [("Coupon Awarded", {})],
    "coupon-redeem": [("Coupon Redeemed", {})],
    "customer-added": [("Loyalty Customer Created", {})],
    "points-issued": [("Points Credited", {"points": 100}), ("identify", {"points_balance": 120})],
    "points-redeemed": [("Points Debited", {"points": 40, "transaction_id": 8, "value": 4})],
    "tier-upgraded": [("Loyalty Tier Upgraded", {"previous_tier": 1, "tier": 2})],
    "transaction-added": [
        (
            "Loyalty Transaction Added",
            {
                "transaction_id": 6,
                "bill_number": "B-6",
                "total": 250,
                "discount": 0,
                "currency": "EUR",
            },
        )
    ],
}


def told(setup, name):
    ours = setup(SEGMENT_TRACKING_KEY="key")
    [payload] = call_files.read_all([str(FIXTURES / f"{name}.json")], ours.sources["capillary"])
    found = arrive(payload.call, "capillary", ours.routes()).deliveries
    return [loads(delivery.payload) for delivery in found]


@pytest.mark.parametrize("name", TOLD)
def test_a_notification_reaches_segment_as_the_presets_say(setup, name):
    found = [
        (sent.get("event", "identify"), sent.get("properties", sent.get("traits", {})))
        for sent in told(setup, name)
    ]

    assert sorted(found, key=str) == sorted(TOLD[name], key=str)


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_no_notification_takes_names_or_addresses_to_segment(setup, name):
    found = str(told(setup, name))

    assert "'user_id': 'ada-1'" in found or "'userId': 'ada-1'" in found
    for detail in ("ada@example.com", "00000", "Example", "customerIdentifiers"):
        assert detail not in found
