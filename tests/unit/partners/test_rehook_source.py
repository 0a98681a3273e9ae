"""Rehook as a source: each of its notices is a track call of the member whom it is about."""

import json
import time
from base64 import b64encode

import pytest

from destination.cli import call_files
from destination.errors import Refused, Unauthorized
from destination.model.delivery import Confirmation
from destination.model.event import read_event
from destination.partners.base.body import Body
from destination.partners.rehook import RehookSettings, RehookWebhook
from destination.routing.route import arrive
from destination.support import json_codec
from tests.conftest import ROOT

NOW = 1_800_000_000.0
FIXTURES = ROOT / "fixtures" / "rehook"


def webhook(at=NOW, **settings):
    return RehookWebhook(RehookSettings(**settings), clock=lambda: at)


def fixture(name):
    [payload] = call_files.read_all([str(next(FIXTURES.rglob(f"{name}.json")))])
    return payload.text


def call(text, at=NOW):
    [found], _ = webhook(at).calls(text.encode())
    return found


def changed(name, **metadata):
    notice = json.loads(fixture(name))
    return json.dumps({**notice, "metadata": {**notice["metadata"], **metadata}})


def test_a_notice_is_a_track_call_of_its_member():
    found = call(fixture("wallet-credited"))

    assert found == {
        "type": "track",
        "event": "wallet.credited",
        "userId": "member-17",
        "messageId": "wallet.credited:trhi_W2bNc6Xk9PtJ4sYq7VhLf",
        "timestamp": "2026-03-14T10:12:48.688Z",
        "receivedAt": json_codec.moment(NOW),
        "properties": {
            "points": 10,
            "wallet": {
                "created_at": "2026-03-14T10:12:48.688Z",
                "description": "Your points have been credited.",
                "points": 10,
                "transaction_id": "trhi_W2bNc6Xk9PtJ4sYq7VhLf",
                "type": "credit",
                "updated_at": "2026-03-14T10:12:48.688Z",
            },
        },
    }


@pytest.mark.parametrize(
    ("name", "payout"),
    [
        ("customer-rewarded-in-wallet", "engine"),
        ("customer-rewarded-to-be-paid", "you"),
        ("customer-referral-successful-advocate", None),
        ("customer-referral-successful-friend", None),
        ("wallet-credited", None),
        ("customer-created", None),
    ],
)
def test_who_pays_is_said_of_a_reward_and_of_nothing_else(name, payout):
    assert call(fixture(name))["properties"].get("payout") == payout


@pytest.mark.parametrize("wallet", [None, {}, {"points": 100}, {"transaction_id": ""}, "none"])
def test_a_reward_without_a_transaction_is_yours_to_pay(wallet):
    text = changed("customer-rewarded-in-wallet", wallet=wallet)

    assert call(text)["properties"]["payout"] == "you"


def test_what_has_no_id_is_the_same_on_one_day_and_happens_again_on_another():
    text = fixture("customer-segment-entered")
    noon, evening, tomorrow = (
        call(text, at)["messageId"] for at in (NOW, NOW + 3600, NOW + 86_400)
    )

    assert noon == evening != tomorrow


def test_what_has_no_id_but_a_time_is_the_same_whenever_it_comes():
    text = changed(
        "customer-rewarded-to-be-paid",
        reward={"redemption_date": "2026-03-14T10:08:06Z"},
    )
    assert call(text)["messageId"].startswith("derived-")
    assert call(text)["messageId"] == call(text, NOW + 86_400)["messageId"]


def test_what_has_an_id_is_the_same_for_ever():
    text = fixture("wallet-credited")

    assert call(text)["messageId"] == call(text, NOW + 400 * 86_400)["messageId"]


def test_a_referral_that_is_announced_twice_is_paid_once():
    """The event of the referral is bookkeeping; the reward that follows it is to be paid."""
    told = ["customer-referral-successful-advocate", "customer-rewarded-to-be-paid"]

    assert [call(fixture(name))["properties"].get("payout") for name in told] == [None, "you"]


@pytest.mark.parametrize(
    ("name", "known_by"),
    [
        ("customer-rewarded-in-wallet", "customer.rewarded:redm_B2nVx7Ks4HtQ9pJd1FwYz"),
        (
            "customer-referral-successful-advocate",
            "customer.referral.successful.advocate:redm_Q7sLb5Zt1YkR3mVn9GxCw",
        ),
        (
            "customer-referral-successful-one-l",
            "customer.referral.successful.advocate:redm_Z4wKj7Rn2TqV9bLx5HsFm",
        ),
        ("wallet-debited", "wallet.debited:trhi_W2bNc6Xk9PtJ4sYq7VhLf"),
    ],
)
def test_what_identifies_a_notice_makes_its_message_id(name, known_by):
    assert call(fixture(name))["messageId"] == known_by


@pytest.mark.parametrize("name", ["customer-created", "order-success", "coupon-rewarded"])
def test_what_nothing_identifies_is_known_by_its_content(name):
    text = fixture(name)

    assert call(text)["messageId"].startswith("derived-")
    assert call(text)["messageId"] == call(json_codec.pretty(json.loads(text)))["messageId"]
    assert call(text)["messageId"] != call(changed(name, more=1))["messageId"]


def test_an_apps_own_event_keeps_its_properties_as_they_were_sent():
    sent = {
        "region": "NA",
        "at": "2026-03-14T10:12:48.688493393Z",
        "RedemptionId": "x",
        "wallet": 1,
    }
    notice = {"event_name": "order_success", "source_id": "u", "metadata": sent}
    found = call(json.dumps(notice))

    assert found["properties"] == sent
    assert found["messageId"].startswith("derived-")


def test_zero_dates_and_na_are_none():
    rewarded = call(fixture("customer-rewarded-in-wallet"))["properties"]
    friend = call(fixture("customer-referral-successful-friend"))["properties"]

    assert rewarded["wallet"]["created_at"] is None
    assert (friend["AdvocateId"], friend["ConnectedCustomerId"]) == (None, None)


@pytest.fixture
def far_west(monkeypatch):
    """A server whose own time is not UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("date", "read"),
    [
        ("2026-03-14T10:08:06.614367478Z", "2026-03-14T10:08:06.614Z"),
        ("2026-03-14T10:08:06.6143674Z", "2026-03-14T10:08:06.614Z"),
        ("2026-03-14T10:08:06Z", "2026-03-14T10:08:06.000Z"),
        ("2026-03-14T12:08:06.614367478+02:00", "2026-03-14T10:08:06.614Z"),
        ("2026-03-14T10:08:06.614", "2026-03-14T10:08:06.614Z"),
        ("0001-01-01T00:00:00Z", json_codec.moment(NOW)),
        ("soon", json_codec.moment(NOW)),
        (7, json_codec.moment(NOW)),
        (None, json_codec.moment(NOW)),
    ],
)
def test_a_reward_happened_at_its_redemption_or_when_it_arrived(date, read, far_west):
    text = changed("customer-rewarded-to-be-paid", reward={"redemption_date": date})

    assert call(text)["timestamp"] == read


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"test":true}', b"[]", b"5", b"null"])
def test_the_test_button_is_no_call(body):
    assert webhook().calls(body) == ([], True)


def test_an_event_that_nobody_has_documented_is_kept():
    found = call(fixture("event-unknown"))

    assert (found["event"], found["properties"]) == ("tier.upgraded", {"tier": "gold"})


def test_a_notice_nested_too_deep_is_refused():
    with pytest.raises(Refused, match="deeper"):
        webhook().calls(b'{"event_name":"a","metadata":' + b'{"a":' * 150 + b"1" + b"}" * 151)


BASIC = {"Authorization": "Basic " + b64encode(b"rehook:secret").decode()}


@pytest.mark.parametrize(
    ("settings", "headers", "let_in"),
    [
        ({"webhook_user": "rehook", "webhook_password": "secret"}, BASIC, True),
        ({"webhook_user": "rehook", "webhook_password": "other"}, BASIC, False),
        ({"webhook_password": "secret"}, BASIC, False),
        ({"webhook_headers": (("X-Token", "abc"),)}, {"X-Token": "abc"}, True),
        ({"webhook_headers": (("x-token", "abc"),)}, {"X-Token": " abc "}, True),
        ({"webhook_headers": (("X-Token", "abc"),)}, {"X-Token": "abd"}, False),
        ({"webhook_headers": (("X-Token", "abc"),)}, BASIC, False),
        (
            {"webhook_headers": (("Authorization", "Bearer a"),)},
            {"Authorization": "Bearer a"},
            True,
        ),
        ({"webhook_headers": (("Authorization", "Bearer a"),)}, {"Authorization": "Bearer"}, False),
        ({"webhook_headers": (("Authorization", "Bearer a"),)}, {}, False),
        (
            {"webhook_headers": (("X-A", "1"), ("X-B", "2"))},
            {"X-A": "1", "X-B": "3"},
            False,
        ),
        (
            {"webhook_user": "rehook", "webhook_headers": (("X-Token", "abc"),)},
            {"X-Token": "abc"},
            False,
        ),
    ],
)
def test_basic_auth_and_every_header_must_fit(settings, headers, let_in):
    if let_in:
        webhook(**settings).authenticate(headers, Body(raw=b""))
        return
    with pytest.raises(Unauthorized, match="REHOOK_WEBHOOK_USER"):
        webhook(**settings).authenticate(headers, Body(raw=b""))


def test_headers_are_read_from_one_setting(setup):
    ours = setup(REHOOK_WEBHOOK_HEADERS="X-Token: a:b, X-Team: loyalty")

    assert ours.sources["rehook"].vouch(b"") == {"X-Token": "a:b", "X-Team": "loyalty"}


def test_events_that_are_not_wanted_are_discarded(setup):
    ours = setup(
        SEGMENT_TRACKING_KEY="k",
        REHOOK_WEBHOOK_EVENTS="customer.rewarded, customer.referral.successfull.friend",
    )
    reasons = {}
    for name in (
        "customer-rewarded-in-wallet",
        "customer-referral-successful-friend",
        "wallet-credited",
    ):
        arrived = arrive(call(fixture(name)), "rehook", ours.routes())
        reasons[name] = [discard.reason for discard in arrived.discards]

    assert list(reasons.values()) == [[], [], ["event_not_wanted"]]


def confirmed(text):
    event = read_event(call(text), source="rehook", max_bytes=32_768)
    return webhook().confirms(event)


def test_an_apps_own_event_shows_that_it_was_processed():
    notice = {"event_name": "order_success", "source_id": "ada", "metadata": {"total": 250.0}}

    assert confirmed(json.dumps(notice)) == Confirmation(
        destination="rehook",
        customer="ada",
        fields={"event_name": "order_success", "source_id": "ada", "metadata": {"total": 250}},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"event_name": "customer.rewarded"},
        {"event_name": "wallet.credited"},
        {"metadata": {}},
        {"metadata": None},
        {"source_id": None},
        {"source_id": " "},
    ],
)
def test_what_could_be_told_of_another_event_shows_nothing(change):
    notice = {"event_name": "order_success", "source_id": "ada", "metadata": {"total": 250}}

    assert confirmed(json.dumps({**notice, **change})) is None
