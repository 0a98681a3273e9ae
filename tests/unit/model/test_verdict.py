"""What an answer means for a delivery."""

import random

import pytest

from destination.model.verdict import (
    MAX_BACKOFF,
    Exchange,
    Trouble,
    Verdict,
    backoff,
    classify,
    retry_after,
)

LATER = {408, 423, 425, 429, 500, 503, *range(505, 512), 598, 599}


def judge(status=None, *, trouble=None, idempotent=False, ambiguous="park"):
    exchange = Exchange(method="POST", url="", status=status, trouble=trouble)
    return classify(exchange, idempotent=idempotent, ambiguous=ambiguous)


@pytest.mark.parametrize("status", range(100, 1000))
def test_every_status_has_the_verdict_of_the_table(status):
    if 200 <= status < 300:
        expected = Verdict.DELIVERED, Verdict.DELIVERED
    elif status in LATER:
        expected = Verdict.RETRY, Verdict.RETRY
    elif status in (502, 504, *range(512, 598), *range(600, 1000)):
        expected = Verdict.RETRY, Verdict.UNKNOWN
    elif status in (401, 403):
        expected = Verdict.HOLD, Verdict.HOLD
    else:
        expected = Verdict.REJECTED, Verdict.REJECTED

    assert (judge(status, idempotent=True), judge(status)) == expected


@pytest.mark.parametrize("trouble", Trouble)
def test_only_what_was_not_sent_is_surely_safe_to_send_again(trouble):
    award = judge(trouble=trouble)

    unsent = trouble in (Trouble.NOT_SENT, Trouble.LATE)
    assert award is (Verdict.RETRY if unsent else Verdict.UNKNOWN)
    assert judge(trouble=trouble, idempotent=True) is Verdict.RETRY


def test_an_unknown_award_is_retried_where_the_setting_says_so():
    assert judge(502, ambiguous="retry") is Verdict.RETRY
    assert judge(trouble=Trouble.TIMEOUT, ambiguous="retry") is Verdict.RETRY


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30.0),
        ("Fri Jan 15 08:00:30 2027", 30.0),
        ("315360000", 86_400.0),
        ("99999999999999999999", 86_400.0),
        ("Sun, 15 Jan 2037 08:00:00 GMT", 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("１２", None),
        ("", None),
        (None, None),
        ("Fri, 15 Jan 2027 07:59:59 GMT", None),
        ("Fri, 99 Jan 2027 08:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_one_of_three_dates_and_at_most_a_day(value, wait):
    assert retry_after(value, now=1_800_000_000.0) == wait


def test_backoff_grows_from_a_second_to_a_quarter_of_an_hour():
    chance = random.Random(7)
    longest = [max(backoff(tries, chance) for _ in range(500)) for tries in (1, 2, 5, 11, 1000)]

    for waited, bound in zip(longest, [1.0, 2.0, 16.0, MAX_BACKOFF, MAX_BACKOFF], strict=True):
        assert 0.9 * bound < waited <= bound
