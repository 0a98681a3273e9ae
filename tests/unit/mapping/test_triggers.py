"""Triggers: on which events a mapping fires, and which triggers are refused."""

import pytest

from destination.mapping import InvalidTrigger, compile_trigger, matches

EVENT = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u1",
    "properties": {
        "total": 99.5,
        "quantity": 3,
        "coupon": "SUMMER",
        "vip": True,
        "empty": "",
        "none": None,
        "digits": "100",
        "products": [{"sku": "A"}],
        "net price": 5,
        "a.b": 6,
        "größe": "XL",
        "740107d2-7737": 7,
    },
    "traits": None,
    "context": {"page": {"url": "https://example.com/shop"}},
}


@pytest.mark.parametrize(
    "trigger",
    [
        'type = "track"',
        'type="track"',
        "type = 'track'",
        "type = track",
        '\r\n type\t=\n"track" ',
        'type != "identify"',
        'name != "Home"',
        "name = null",
        "event != null",
        "traits.email = null",
        "properties.none = null",
        "properties.empty != null",
        'properties.empty = ""',
        "properties.total = 99.5",
        "properties.quantity = 3.0",
        "properties.quantity != 4",
        "properties.total >= 99.5 and properties.total <= 99.5",
        "properties.total>99 and properties.total<100",
        "properties.total > -1",
        'properties.total < "100"',
        "properties.vip = true",
        "properties.vip = TRUE",
        "properties.vip != false",
        "properties.none != true",
        "properties.products[0].sku = A",
        'properties["net price"] = 5',
        r"properties.net\ price = 5",
        r"properties.a\.b = 6",
        'properties.größe = "XL"',
        "properties.740107d2-7737 = 7",
        'contains(event, "Completed")',
        "contains(properties.digits, 10)",
        'contains(context.page.url, "/shop")',
        'match(event, "Order*")',
        'match(event, "*Completed")',
        'match(event, "*")',
        '!contains(event, "Refund")',
        '!match(event, "Refund*")',
        'not contains(event, "Refund")',
        '! ( type = "identify" )',
        'not type = "identify"',
        'not not type = "track"',
        '!(type = "identify" or event = "X")',
        '!(properties.total > 100 or !(type = "track"))',
        'type = "identify" or type = "track"',
        'type = "identify" OR type = "track"',
        'type = "track" AND event = "Order Completed"',
        'type = "track" and (event = "X" or event = "Order Completed")',
        '(type = "track" and (event = "X" or (event = "Order Completed" and userId = "u1")))',
        '(contains(event, "Order") and type = "track")',
        '((type = "track"))',
        'type = "a" or type = "b" or type = "c" or type = "track"',
        'type = "track" and userId != null and event != "X" and properties.vip = true',
    ],
)
def test_a_trigger_fires(trigger):
    assert matches(trigger, EVENT) is True


@pytest.mark.parametrize(
    "trigger",
    [
        'type = "TRACK"',
        'type = "identify"',
        "event = null",
        "name != null",
        "traits.email != null",
        "properties.digits = 100",
        "properties.digits != 99",
        "properties.digits > 1",
        "properties.missing != 5",
        "properties.missing < 5",
        "properties.vip = 1",
        "properties.vip >= 1",
        'properties.vip = "true"',
        "properties.vip != true",
        'contains(properties.total, "9")',
        '!contains(properties.total, "x")',
        '!contains(name, "x")',
        '!match(traits.email, "x*")',
        "!(properties.missing >= 100)",
        '!(type = "track" or event = "X")',
        'contains(event, "completed")',
        'type = "track" and event = "X"',
        'type = "track" and event = "Order Completed" and userId = "u2"',
    ],
)
def test_a_trigger_does_not_fire(trigger):
    assert matches(trigger, EVENT) is False


def test_a_user_id_that_is_a_number_is_no_text():
    assert matches("userId = 7", {"userId": "7"})
    assert not matches("userId = 7", {"userId": 7})


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"say \"hi\""', 'say "hi"'),
        (r"'it\'s'", "it's"),
        (r'"C:\dir"', r"C:\dir"),
        (r'"a\\"', "a\\"),
        ('"(a) and b"', "(a) and b"),
        ('"ünï €"', "ünï €"),
    ],
)
def test_a_text_is_read_with_its_quotes_and_backslashes(written, value):
    assert matches(f"event = {written}", {"event": value})


@pytest.mark.parametrize("event", [None, [], "track", 5, True])
def test_what_is_no_event_matches_no_trigger(event):
    assert not matches('type != "identify"', event)


@pytest.mark.parametrize(
    ("trigger", "position", "said"),
    [
        ("", 0, "the trigger is empty"),
        ("  ", 0, "the trigger is empty"),
        (None, 0, "a trigger is a text"),
        ("type", 4, "expected one of = != < <= > >= behind type, but the trigger ends"),
        ("type = ", 7, "expected a value"),
        ('type = "track', 7, "is not closed"),
        ("type = “track”", 7, 'Write "…"'),
        ('type == "track"', 5, "write =, not =="),
        ('type <> "track"', 5, "write !=, not <>"),
        ('type = "a" && event = "b"', 11, "write and, not &&"),
        ('type in ["a", "b"]', 5, "write one = for each value"),
        ('type * "x"', 5, '"*" is not part of a trigger'),
        ('typ = "track"', 0, "unknown field typ. Did you mean type?"),
        ("Properties.price > 5", 0, "Did you mean properties.price?"),
        ("property.price > 5", 0, "Did you mean properties.price?"),
        ('anonymousId = "x"', 0, "A trigger reads type, event"),
        ('type = "track" and price > 5', 19, "properties.…"),
        ("properties != null", 0, "write properties.price"),
        ('type.a = "x"', 0, "type is a text and has no parts"),
        ('contain(event, "x")', 0, "unknown function contain(). Did you mean contains?"),
        ('lowercase(event) = "x"', 0, "Known: contains and match."),
        ('contains("x", event)', 9, "expected a field"),
        ("contains(event)", 14, "expected ,"),
        ("contains(event, null)", 16, "expected a text"),
        ('match(event, "Order")', 13, 'Write event = "Order"'),
        ('match(event, "*Order*")', 13, 'Write contains(event, "Order")'),
        ('match(event, "O*r")', 13, "one star"),
        ('match(event, "Order**")', 13, "one star"),
        ('properties.a > "x"', 15, "> compares numbers"),
        ("properties.a < null", 15, "< compares numbers"),
        ("properties.a < true", 15, "< compares numbers"),
        ("properties.a = properties.b", 15, 'Write "properties.b" in quotes'),
        ("properties.a = 5x", 15, "this is no number"),
        ('type = "a" type = "b"', 11, "expected and, or, or the end, found type"),
        ('type = "a" and', 14, "expected a field"),
        ('and type = "a"', 0, "expected a field"),
        ('(type = "a"', 11, "expected ), but the trigger ends"),
        ('type = "a")', 10, "found )"),
        ("nonsense #", 0, "unknown field nonsense"),
    ],
)
def test_a_refused_trigger_names_the_place_and_the_remedy(trigger, position, said):
    with pytest.raises(InvalidTrigger) as caught:
        compile_trigger(trigger)

    assert caught.value.position == position
    assert said in str(caught.value)
    assert caught.value.where == ("trigger",)


@pytest.mark.parametrize(
    ("trigger", "position", "one", "other"),
    [
        (
            'type = "a" and event = "b" or event = "c"',
            27,
            '(type = "a" and event = "b") or event = "c"',
            'type = "a" and (event = "b" or event = "c")',
        ),
        (
            'type = "a" OR (name = "x") AND !contains(event, "y") or userId = "z"',
            27,
            'type = "a" or ((name = "x") and !contains(event, "y")) or userId = "z"',
            '(type = "a" or (name = "x")) and (!contains(event, "y") or userId = "z")',
        ),
        (
            'type = "t" and (name = "a" or name = "b" and userId = "u")',
            41,
            'type = "t" and (name = "a" or (name = "b" and userId = "u"))',
            'type = "t" and ((name = "a" or name = "b") and userId = "u")',
        ),
    ],
)
def test_and_beside_or_is_refused_with_the_trigger_to_write_instead(trigger, position, one, other):
    with pytest.raises(InvalidTrigger) as caught:
        compile_trigger(trigger)

    assert caught.value.position == position
    assert str(caught.value).endswith(f"Write {one}, or if that is meant, {other}")
    compile_trigger(one)
    compile_trigger(other)


def test_a_long_trigger_is_refused():
    with pytest.raises(InvalidTrigger, match="at most 5 KB"):
        compile_trigger('type = "' + "ü" * 2_600 + '"')


def test_a_trigger_nested_too_deep_is_refused():
    with pytest.raises(InvalidTrigger, match="nested deeper than 20"):
        compile_trigger("(" * 2_000)


def test_a_trigger_nested_as_deep_as_may_be_is_taken():
    assert matches("(" * 20 + 'type = "a"' + ")" * 20, {"type": "a"})


def test_many_conditions_are_taken():
    trigger = " or ".join(f'event = "{number}"' for number in range(300))

    assert matches(trigger, {"event": "299"})
