"""Templates: how values are written into texts."""

import pytest

from destination.mapping import transform


def fill(template, **event):
    return transform({"@template": template}, event)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("no place", "no place"),
        ("Hi {{name}}!", "Hi Ann!"),
        ("Hi {{ name }}!", "Hi Ann!"),
        ("{{{name}}}", "Ann"),
        ("{{name}}{{name}}", "AnnAnn"),
        ("{{address.city}}", "Graz"),
        ("{{tags[1]}}", "b"),
        ("{{nothing}}", ""),
        ("{{none}}", ""),
        ("{{name}}}", "Ann}"),
        ("{{{name}}", ""),
        ("{{}}", "{{}}"),
        ("{{name", "{{name"),
        ("name}}", "name}}"),
        ("{name}", "{name}"),
        ("{{na}me}}", "{{na}me}}"),
        ("{{a}} {{{name}}} b", " Ann b"),
        ("line\n{{\nname\n}}", "line\nAnn"),
    ],
)
def test_places_are_filled_in(template, text):
    event = {"name": "Ann", "address": {"city": "Graz"}, "tags": ["a", "b"], "none": None}

    assert transform({"@template": template}, event) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (10.50, "10.5"),
        (12345678901234567890, "12345678901234567890"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (0.0000015, "0.0000015"),
        (1e-7, "1e-7"),
        (1.25e-10, "1.25e-10"),
        ("<b>&\"'", "<b>&\"'"),
        ([1, 2, 3], "1,2,3"),
        ([1.0, None, True, "x"], "1,,true,x"),
        ([[1, [2]], []], "1,2,"),
        ([], ""),
        ({"a": 1.0, "b": [None, "ü"]}, '{"a":1,"b":[null,"ü"]}'),
        ([{"a": 1}], '{"a":1}'),
    ],
)
def test_values_are_written_as_javascript_writes_them_and_objects_as_json(value, text):
    assert fill("{{v}}", v=value) == text


def test_what_a_value_brings_in_is_not_filled_in_again():
    assert fill("{{{a}}} {{a}}", a="{{secret}}", secret="s") == "{{secret}} {{secret}}"


def test_a_template_may_come_from_the_event():
    assert transform({"@template": {"@path": "t"}}, {"t": "Hi {{n}}", "n": "Ann"}) == "Hi Ann"


def test_an_unfinished_template_takes_time_in_proportion_to_its_length():
    assert fill("}}" + "{" * 9_000).endswith("{")
