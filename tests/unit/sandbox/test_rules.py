"""Earning rules: what they award, and what a file of them may not say."""

from decimal import Decimal

import pytest

from destination.sandbox import RulesError, create_app
from destination.sandbox.rules import RULES, Rules, Share, load

WORKING = RULES.read_text("utf-8")


@pytest.fixture
def rules() -> Rules:
    return Rules(
        default=1,
        events={"order": Share(share=Decimal("0.1"), of="total"), "signup": 50, "hidden": 0},
        conversions=frozenset(),
        advocate=0,
        friend=0,
    )


@pytest.mark.parametrize(("event", "points"), [("signup", 50), ("hidden", 0), ("other", 1)])
def test_an_event_earns_what_is_written_or_the_default(rules, event, points):
    assert rules.points(event, {"total": 1000}) == points


@pytest.mark.parametrize(
    ("total", "points"),
    [(549, 54), ("549", 54), (" 99.99 ", 9), (0.7, 0), ("1e3", 100), (2**53, 2**53 // 10)],
)
def test_a_share_is_rounded_down_to_whole_points(rules, total, points):
    assert rules.points("order", {"total": total}) == points


@pytest.mark.parametrize(
    "total",
    [None, "", "ten", True, [5], {}, -50, "NaN", "sNaN", "Infinity", float("inf"), "1e999999999"],
)
def test_what_is_no_amount_earns_nothing(rules, total):
    assert rules.points("order", {"total": total}) == 0


def test_a_missing_property_earns_nothing(rules):
    assert rules.points("order", {}) == 0


@pytest.mark.parametrize(
    ("working", "broken", "complaint"),
    [
        ("default: 1", "", "the key 'default' is missing"),
        ("default: 1", "defualt: 1", "unknown key 'defualt'"),
        ("default: 1", "default: many", "default: points are a whole number"),
        ("default: 1", "default: true", "default: points are a whole number"),
        ("signup: 50", "signup: -1", "events.signup: points are a whole number"),
        ("signup: 50", "7: 50", "events: an event's name is text, not 7"),
        ("share: 0.1, of: total_amount", "share: 0.1", "events.order_success: the key 'of'"),
        ("share: 0.1, of: total_amount", "share: x, of: y", "events.order_success.share: a share"),
        ("share: 0.1, of: total_amount", "share: .nan, of: y", "events.order_success.share"),
        ("share: 0.1, of: total_amount", "share: 1, of: 2", "events.order_success.of: name a"),
        ("events: [signup]", "events: signup", "referral.events: write a list"),
        ("advocate: 100", "advocate: 1.5", "referral.advocate: points are a whole number"),
        ("default: 1", "default: [", "cannot be read"),
        ("default: 1", "default: 1\ndefault: 2", "cannot be read"),
        (WORKING, "", "write the keys default, events, referral"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_key(tmp_path, working, broken, complaint):
    path = tmp_path / "house.yaml"
    path.write_text(WORKING.replace(working, broken, 1), "utf-8")

    with pytest.raises(RulesError) as refused:
        load(path)
    assert str(refused.value).startswith(str(path))
    assert complaint in str(refused.value)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(RulesError, match=r"nowhere\.yaml: cannot be read"):
        create_app(api_key="key", api_secret="secret", rules=tmp_path / "nowhere.yaml")
