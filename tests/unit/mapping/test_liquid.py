"""`@liquid`: what its programs write, and what they cannot do."""

import pytest

from destination.mapping import InvalidMapping, MappingFailed, transform

EVENT = {
    "event": "Order Completed",
    "traits": {"name": "Ann Bee", "vip": True, "none": None, "tags": ["a", "b"], "score": 8.0},
    "properties": {
        "total": 99.5,
        "quantity": 3,
        "date": "2024-01-15T10:30:00.000Z",
        "seconds": 1705314600,
        "csv": "a,b,c",
        "products": [{"sku": "x"}, {"sku": "y"}],
        "long": "a" * 50_000,
        "html": "<b>Hi</b> you",
    },
}


def write(program):
    return transform({"@liquid": program}, EVENT)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("", ""),
        ("Hello {{ traits.name }}", "Hello Ann Bee"),
        ("{{ traits.name | upcase }}", "ANN BEE"),
        ("{{ traits.vip }} {{ traits.none }}{{ traits.gone }}|", "true |"),
        ("{{ traits.score }} {{ traits.score | plus: 1 }}", "8 9"),
        ("{{ properties.quantity | divided_by: 2 }}", "1.5"),
        ("{{ properties.gone | plus: 1 }}", "1"),
        ("{{ 98.5 | round }} {{ -2.5 | round }} {{ 1.005 | round: 2 }}", "99 -3 1.01"),
        ("{{ traits.tags }}", "ab"),
        ("{{ traits.tags | join: ', ' }}", "a, b"),
        ("{{ traits.vip | append: '!' }}", "true!"),
        ("{{ properties.products | json }}", '[{"sku":"x"},{"sku":"y"}]'),
        ("{{ properties.products[1].sku }}{{ properties.products.size }}", "y2"),
        ("{{ properties.csv | split: ',' | last }}", "c"),
        ("{{ properties.date | date: '%d.%m.%Y %H:%M' }}", "15.01.2024 10:30"),
        ("{{ properties.seconds | date: '%Y-%m-%d %H:%M' }}", "2024-01-15 10:30"),
        ("{{ '2024-03-10T00:30:00+02:00' | date: '%d %H:%M' }}", "09 22:30"),
        ("{{ 'March 14, 2016' | date: '%Y-%m-%d' }}", "2016-03-14"),
        ("{{ 'no date' | date: '%Y' }}", "no date"),
        ("{{ properties.html | strip_html }}", "Hi you"),
        ("{{ traits.none | default: 'guest' }}", "guest"),
        ("{% if properties.total > 50 and traits.vip %}big{% else %}small{% endif %}", "big"),
        ("{% unless traits.vip %}a{% else %}b{% endunless %}", "b"),
        ("{% assign x = properties.quantity | times: 10 %}{{ x }}", "30"),
        ("{% capture x %}{{ event }}!{% endcapture %}{{ x }}", "Order Completed!"),
        ("{% echo traits.score %}", "8"),
        ("{{ (1..3) }}", "1..3"),
    ],
)
def test_a_program_writes_a_text(program, text):
    assert write(program) == text


@pytest.mark.parametrize("tag", ["case", "for", "include", "layout", "render", "tablerow"])
def test_a_tag_that_loops_or_reads_files_is_switched_off(tag):
    with pytest.raises(InvalidMapping, match=f"the tag {tag} is switched off"):
        write(f"{{% {tag} 'x' %}}")


def test_a_tag_inside_a_liquid_tag_is_switched_off_as_well():
    with pytest.raises(InvalidMapping, match="the tag for is switched off"):
        write("{% liquid\nfor i in traits.tags\necho i\nendfor %}")


@pytest.mark.parametrize("name", ["map", "sort", "where_exp", "group_by", "concat", "uniq"])
def test_a_filter_that_segment_has_switched_off_is_refused(name):
    with pytest.raises(InvalidMapping, match=f"the filter {name} is switched off"):
        write(f"{{{{ traits.tags | {name} }}}}")


def test_an_unknown_filter_is_refused_with_the_nearest():
    with pytest.raises(InvalidMapping, match=r"no filter upcas\. Did you mean upcase\?"):
        write("{{ traits.name | upcas }}")


@pytest.mark.parametrize(
    "program", ["{{", "{% if %}", "{% if a %}", "{{ a | }}", "{% nope %}", "{{ " + "a[" * 300]
)
def test_a_program_that_cannot_be_read_is_refused(program):
    with pytest.raises(InvalidMapping, match="@liquid cannot be read"):
        write(program)


def test_a_program_too_long_is_refused():
    with pytest.raises(InvalidMapping, match="at most 1,000 characters, not 1,001"):
        write("a" * 1_001)


@pytest.mark.parametrize(
    "program",
    [
        "{{ properties.long | replace: 'a', properties.long }}",
        "{{ properties.long | replace: '', properties.long }}",
        "{{ properties.long | split: '' | join: properties.long }}",
        "{% assign x = properties.long %}" + "{% assign x = x|append:x %}" * 30,
        "{% assign x = 99999 %}" + "{% assign x = x|times:x %}" * 30 + "{{x}}",
        "{{ (1..1000000000) | join: ',' }}",
        "{{ (1..1000000000000000000000) | size }}",
        "{{ (1..900000) | sum }}",
        "{{ properties.long }}" * 40,
        "{{ properties.long " + "| url_encode " * 60 + "}}",
        "{{ properties.long | strip_html }}",
        "{{ 'now' | date: properties.long }}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_a_program_that_would_take_too_much_fails_on_that_event(program):
    with pytest.raises(MappingFailed):
        write(program)


@pytest.mark.parametrize(
    "program",
    ["{{ 8 | slice: a }}", "{{ a | truncate: a }}", "{{ a | date: a }}"],
)
def test_a_failure_shows_nothing_of_the_event(program):
    with pytest.raises(MappingFailed) as caught:
        transform({"f": {"@liquid": program}}, {"a": "secret" * 30})

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_items_of_a_list_that_are_no_objects_have_no_values():
    shaped = {"@arrayPath": ["l", {"v": {"@liquid": "{{ a }}"}}]}

    assert transform(shaped, {"l": [{"a": 1}, "x", None]}) == [{"v": "1"}, {"v": ""}, {"v": ""}]
