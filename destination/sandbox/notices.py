"""The bodies of Rehook's reward webhooks, as its page shows them."""

import time
from datetime import UTC, datetime

#: How the language that Rehook is written in says that there is no date.
ZERO_DATE = "0001-01-01T00:00:00Z"

#: One campaign of each type.
CAMPAIGNS = {"loyalty": "camp_sandboxLoyaltyCampaign", "referral": "camp_sandboxReferralCampaig"}

REWARD = "rewd_sandboxRewardOfPoints0"
RULE = "valr_sandboxEarningRule0000"


def notice(event_name: str, source_id: str, metadata: dict[str, object]) -> dict[str, object]:
    """The envelope of every notice."""
    return {
        "event_name": event_name,
        "metadata": metadata,
        "source": "rehook",
        "source_id": source_id,
    }


def created(source_id: str, *, customer_id: str) -> dict[str, object]:
    """Somebody has become a customer."""
    return notice("customer.created", source_id, {"CustomerID": customer_id})


def rewarded(
    source_id: str,
    *,
    points: int,
    name: str,
    campaign: str,
    redemption_id: str,
    transaction_id: str | None,
) -> dict[str, object]:
    """A reward: in the wallet already, or without a transaction, to be paid by you."""
    wallet: dict[str, object] = {"points": 0}
    if transaction_id:
        wallet = _transaction(points, transaction_id, ZERO_DATE)
    return notice(
        "customer.rewarded",
        source_id,
        {
            "campaign": {"id": CAMPAIGNS[campaign], "type": campaign},
            "coupon": None,
            "custom_fields": None,
            "points": points,
            "reward": {
                "activation": {"days": 1, "is_immediate": True, "start_date": None},
                "expiration": {"days": 1, "expiration_date": None, "never_expires": True},
                "name": name,
                "redemption_date": _now(),
                "redemption_id": redemption_id,
                "reward_id": REWARD,
            },
            "source_id": source_id,
            "wallet": wallet,
        },
    )


def credited(source_id: str, *, points: int, transaction_id: str) -> dict[str, object]:
    """Points are in the wallet."""
    wallet = {**_transaction(points, transaction_id, _now()), "type": "credit"}
    return notice("wallet.credited", source_id, {"points": points, "wallet": wallet})


def referred(
    source_id: str, *, role: str, points: int, redemption_id: str, customer_id: str, other_id: str
) -> dict[str, object]:
    """A referral was successful, told of the `advocate` or of the `friend`. The double l is
    that of Rehook's samples; its table has one.
    """
    advocate = role == "advocate"
    return notice(
        f"customer.referral.successfull.{role}",
        source_id,
        {
            "AdvocateId": customer_id if advocate else "NA",
            "CampaignID": CAMPAIGNS["referral"],
            "CampaignName": "",
            "CampaignType": "referral",
            "Code": "",
            "ConnectedCustomerId": other_id if advocate else "NA",
            "CustomerId": customer_id,
            "PointsRewarded": points,
            "RedemptionId": redemption_id,
            "RewardId": REWARD,
            "RewardType": "webhook",
            "RuleId": RULE,
            "Type": f"referral_{role}",
        },
    )


def _transaction(points: int, transaction_id: str, at: str) -> dict[str, object]:
    return {
        "created_at": at,
        "description": "Wallet points have been successfully credited to your account.",
        "points": points,
        "transaction_id": transaction_id,
        "updated_at": at,
    }


def _now() -> str:
    """The time with nine digits of a second, as Rehook writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
