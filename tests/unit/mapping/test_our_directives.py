"""Directives of our own: what each makes of an event."""

import copy
import hashlib

import pytest

from destination.mapping import MISSING, transform

V = {"@path": "$.v"}

ANN = hashlib.sha256(b"ann@example.com").hexdigest()


def made(directive, value, **options):
    return transform({directive: {"value": V, **options}}, {"v": value})


# @hash


def test_a_text_is_hashed():
    assert made("@hash", "ann@example.com") == ANN
    assert made("@hash", "Ann@example.com ") != ANN


@pytest.mark.parametrize(
    "email", ["ann@example.com", " Ann@Example.COM\n", "\u00a0ANN@example.com"]
)
def test_an_address_is_hashed_as_addresses_are_compared(email):
    assert made("@hash", email, normalize=True) == ANN


def test_a_hash_is_of_the_texts_utf_8():
    assert made("@hash", "Zoë") == hashlib.sha256("Zoë".encode()).hexdigest()
    assert len(made("@hash", "half \ud83d of a character")) == 64


@pytest.mark.parametrize(("value", "text"), [(12345, "12345"), (1.0, "1"), (True, "true")])
def test_a_number_is_hashed_as_its_text(value, text):
    assert made("@hash", value) == made("@hash", text)


@pytest.mark.parametrize("blank", ["", " \t"])
def test_nothing_has_no_hash(blank):
    assert made("@hash", blank, normalize=True) == ""


@pytest.mark.parametrize("value", [{"a": 1}, ["ann@example.com"]])
def test_what_cannot_be_hashed_is_not_sent(value):
    assert made("@hash", value) is MISSING


# @omit


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (["email"], {"name": "Ann", "address": {"city": "Köln", "zip": "1"}}),
        (["email", "address"], {"name": "Ann"}),
        (["address", "address.city", "email"], {"name": "Ann"}),
        (["email", "address.city", "address"], {"name": "Ann"}),
        (["email", "address.city"], {"name": "Ann", "address": {"zip": "1"}}),
        (['["email"]', "address.zip"], {"name": "Ann", "address": {"city": "Köln"}}),
        (["email", "address.city", "address.zip"], {"name": "Ann", "address": {}}),
        (
            ["phone", "name.first", "Email"],
            {"name": "Ann", "email": "a@example.com", "address": {"city": "Köln", "zip": "1"}},
        ),
    ],
)
def test_an_object_is_sent_without_the_keys(keys, left):
    traits = {
        "name": "Ann",
        "email": "a@example.com",
        "address": {"city": "Köln", "zip": "1"},
    }
    before = copy.deepcopy(traits)

    assert made("@omit", traits, keys=keys) == left
    assert traits == before


def test_a_key_with_a_dot_is_left_out_in_both_ways_of_reading_it():
    flat = {"address.city": "Köln", "address": {"city": "Köln", "zip": "1"}}

    assert made("@omit", flat, keys=["address.city"]) == {"address": {"zip": "1"}}


def test_a_key_is_left_out_of_each_item_of_a_list():
    order = {"products": [{"sku": "A", "image": "a.png"}, "text", [{"image": "b.png"}]]}

    assert made("@omit", order, keys=["products.image"]) == {
        "products": [{"sku": "A"}, "text", [{}]]
    }
    assert made("@omit", [{"a": 1, "b": 2}], keys=["a"]) == [{"b": 2}]


@pytest.mark.parametrize("value", ["email", 5, True])
def test_what_is_no_object_has_nothing_to_leave_out(value):
    assert made("@omit", value, keys=["email"]) == value


def test_null_and_empty_values_beside_a_key_are_kept():
    assert made("@omit", {"a": None, "b": "", "c": 0}, keys=["c"]) == {"a": None, "b": ""}


# @number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (27.5, 27.5),
        (250.0, 250),
        ("27.50", 27.5),
        (" +7 ", 7),
        ("-.5", -0.5),
        ("1e3", 1000),
        ("00123", 123),
        (9007199254740993, 9007199254740993),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_text_becomes_the_number_that_it_is(value, number):
    found = made("@number", value)

    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    "value",
    [
        *("", "gold", "27,50", "1 000", "12 €", "0x10", "NaN", "Infinity", "1e999", "٣"),
        *(True, [5], {"a": 5}, "9" * 401, float("inf")),
    ],
)
def test_what_is_no_number_is_not_sent(value):
    assert made("@number", value) is MISSING


@pytest.mark.parametrize(
    ("value", "decimals", "number"),
    [
        (27.456, 2, 27.46),
        (27.5, 0, 28),
        (0.5, 0, 1),
        (2.5, 0, 3),
        (-2.5, 0, -3),
        (1.005, 2, 1.01),
        (-0.4, 0, 0),
        (1e300, 2, 10**300),
        (1e-300, 10, 0),
    ],
)
def test_a_number_is_rounded_as_people_do(value, decimals, number):
    assert made("@number", value, decimals=decimals) == number


@pytest.mark.parametrize(
    ("amount", "cents"),
    [(27.5, 2750), (19.99, 1999), (1.005, 101), ("8.25", 825), (0, 0), (-4, -400)],
)
def test_an_amount_becomes_cents(amount, cents):
    found = made("@number", amount, times=100, decimals=0)

    assert (found, type(found)) == (cents, int)


def test_a_number_is_multiplied_exactly():
    assert made("@number", 0.1, times=3) == 0.3
    assert made("@number", 1999, times=0.01) == 19.99
    assert made("@number", 27.5, times=-1) == -27.5


def test_a_number_too_large_to_be_written_is_not_sent():
    assert made("@number", 1e200, times=1e200) is MISSING
    assert made("@number", 1e200, times=1e200, decimals=2) is MISSING


# @boolean


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("true", True),
        ("false", False),
        (True, True),
        (False, False),
        ("True", "True"),
        (" true", " true"),
        ("", ""),
        (1, 1),
        (0, 0),
        (["true"], ["true"]),
        (
            {"a": "true", "b": "false", "c": "no", "d": None, "e": {"f": "true"}},
            {"a": True, "b": False, "c": "no", "d": None, "e": {"f": "true"}},
        ),
    ],
)
def test_true_and_false_are_read_as_booleans(value, sent):
    found = made("@boolean", value)

    assert found == sent
    assert type(found) is type(sent)


# @join


def joined(*values, **options):
    event = {str(place): value for place, value in enumerate(values) if value is not MISSING}
    paths = [{"@path": str(place)} for place in range(len(values))]
    return transform({"@join": {"values": paths, **options}}, event)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["Ann", "Lee"], "Ann Lee"),
        (["Ann", MISSING, "Lee"], "Ann Lee"),
        ([None, "Lee"], "Lee"),
        (["Ann", ""], "Ann"),
        ([" Ann", " "], " Ann  "),
        ([1.0, 0, 1e21, True, False], "1 0 1e+21 true false"),
        ([["a", "", None, 5], "b"], "a 5 b"),
        ([{"a": 1}, [{"b": 2}, ["c"]], "d"], "d"),
    ],
)
def test_texts_are_joined_by_a_space_without_those_that_are_empty(values, text):
    assert joined(*values) == text


@pytest.mark.parametrize("separator", [", ", "", "$&", "\n"])
def test_a_separator_stands_between_texts_as_it_is_written(separator):
    assert joined("Ann", "Lee", separator=separator) == f"Ann{separator}Lee"


@pytest.mark.parametrize("values", [[MISSING, MISSING], [None, ""], [[]], [{"a": 1}]])
def test_where_no_text_is_left_nothing_is_sent(values):
    assert joined(*values) is MISSING


def test_a_list_of_the_event_is_joined():
    event = {"tags": ["new", "app"]}

    assert transform({"@join": {"values": {"@path": "tags"}, "separator": "|"}}, event) == "new|app"
    assert transform({"@join": {"values": {"@path": "none"}}}, event) is MISSING


# All of them


@pytest.mark.parametrize(
    "directive",
    [
        {"@hash": {"value": V}},
        {"@omit": {"value": V, "keys": ["a"]}},
        {"@number": {"value": V, "times": 100, "decimals": 0}},
        {"@boolean": {"value": V}},
    ],
)
def test_null_stays_null_and_missing_stays_missing(directive):
    assert transform({"k": directive}, {"v": None}) == {"k": None}
    assert transform({"k": directive}, {}) == {}


def test_they_stand_inside_one_another_and_beside_segments():
    mapping = {
        "@merge": {
            "objects": [
                {"@omit": {"value": {"@path": "$.t"}, "keys": ["email"]}},
                {"email_hash": {"@hash": {"value": {"@path": "$.t.email"}, "normalize": True}}},
                {"cents": {"@number": {"value": {"@liquid": "{{ t.total }}"}, "times": 100}}},
            ],
            "direction": "right",
        }
    }
    event = {"t": {"name": "Ann", "email": "ANN@example.com", "total": 1.1}}

    assert transform(mapping, event) == {
        "name": "Ann",
        "total": 1.1,
        "email_hash": ANN,
        "cents": 110,
    }
