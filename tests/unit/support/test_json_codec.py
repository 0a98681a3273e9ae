"""JSON as it travels."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destination.support import json_codec

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_what_is_written_is_read_again(value):
    assert json_codec.loads(json_codec.dumps(value)) == value


@given(st.text())
def test_any_text_is_read_or_refused_with_a_value_error(text):
    try:
        json_codec.loads(text)
    except ValueError:
        pass


@given(st.lists(anything))
def test_a_list_is_cut_into_its_elements(values):
    text = json.dumps(values)
    assert [json.loads(element) for element in json_codec.elements(text)] == values


@given(st.text(alphabet='[]{}",:\\ a1'))
def test_cutting_never_fails_but_with_a_value_error(text):
    try:
        json_codec.elements(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[1", "", "{'a': 1}"]
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        json_codec.loads(text)


def test_nesting_that_exhausts_the_reader_is_refused_in_words():
    with pytest.raises(ValueError, match="nested deeper than 100"):
        json_codec.loads("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    ("text", "written"),
    [("1.0", "1"), ("250.00", "250"), ("1e3", "1000"), ("-0.0", "0"), ("22.50", "22.5")],
)
def test_numbers_are_written_as_javascript_writes_them(text, written):
    assert json_codec.dumps(json_codec.loads(text)) == written


def test_large_whole_numbers_keep_their_digits():
    assert json_codec.dumps(json_codec.loads("12345678901234567890")) == "12345678901234567890"


def test_half_a_surrogate_pair_stays_escaped():
    written = json_codec.dumps({"a": "\ud800é"})

    assert written.encode() == b'{"a":"\\ud800\\u00e9"}'


def test_other_unicode_is_written_as_it_is():
    assert json_codec.dumps({"имя": "“zoë”\u2028"}) == '{"имя":"“zoë”\u2028"}'


@pytest.mark.parametrize(
    "text", ["[1][2]", "[1", "1]", "5", "", "[1}", '"[1]"', "[[[]", "[1] x", "]["]
)
def test_brackets_that_do_not_match_are_refused(text):
    with pytest.raises(ValueError, match="brackets"):
        json_codec.elements(text)


def test_brackets_and_commas_in_texts_are_not_structure():
    assert json_codec.elements('[{"a":"],["}, "\\"],", NaN]') == ['{"a":"],["}', '"\\"],"', "NaN"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-14T09:26:53.589Z", 1773480413.589),
        ("2026-03-14T09:26:53.589", 1773480413.589),
        ("2026-03-14 11:26:53+02:00", 1773480413.0),
        ("1970-01-01", 0.0),
    ],
)
def test_a_time_without_a_zone_is_in_utc(written, read):
    assert json_codec.seconds(written) == read


@pytest.mark.parametrize("written", ["", "soon", "2026-02-30", "24:00", 1773480413, None, ["a"]])
def test_what_is_no_time_is_refused(written):
    with pytest.raises(ValueError, match="not a time"):
        json_codec.seconds(written)


@pytest.mark.parametrize("end", ["", "\\", '"'])
def test_a_long_text_is_read_once_however_it_ends(end):
    """Read anew from each quote in it, it would take hours."""
    text = '["' + '\\"' * 1_000_000 + end

    with pytest.raises(ValueError, match="brackets"):
        json_codec.elements(text)


def nested(levels):
    return "[" * levels + "]" * levels


def test_the_deepest_place_decides():
    assert json_codec.is_too_deep(nested(json_codec.MAX_DEPTH + 1))
    assert json_codec.is_too_deep(f"[{nested(1)},{nested(json_codec.MAX_DEPTH)},{nested(1)}]")
    assert not json_codec.is_too_deep(nested(json_codec.MAX_DEPTH))
    assert not json_codec.is_too_deep(f"[{','.join([nested(1)] * 200)}]")
    assert not json_codec.is_too_deep('["' + "[" * 200 + '"]')


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('[{"cool":false},{"cool":true}]', '{"cool":false}'),
        (' [ {"a" : 1.0} , 2]', '{"a" : 1.0}'),
        ("[]", None),
        ('{"a":1}', None),
        ("[", None),
    ],
)
def test_the_first_element_is_cut_out_exactly(text, first):
    assert json_codec.first_element(text) == first


@pytest.mark.parametrize(
    "text", ["5:1", "[" * 100_000 + "]" * 100_000 + ":1", '"a"', '"a" 1:2', ""]
)
def test_what_is_no_member_is_refused(text):
    with pytest.raises(ValueError, match=r"member|Expecting|substring"):
        json_codec.member(text)
