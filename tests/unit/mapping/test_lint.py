"""What can never work, and which paths no example has."""

import pytest

from destination.errors import InvalidTrigger
from destination.mapping import expand, lint
from destination.mapping.dead_paths import Seen, dead_paths
from destination.mapping.lint import check_trigger, doubts, half_paths, misfits
from destination.model.event import TYPES

EVENTS = [
    {"type": "identify", "userId": "u", "traits": {"email": "a@example.com", "address": None}},
    {
        "type": "track",
        "event": "Order",
        "userId": "u",
        "properties": {
            "total": 5,
            "net price": 4,
            "a.b": 1,
            "products": [{"sku": "A", "tags": []}, {"price": 1}],
        },
    },
]


@pytest.mark.parametrize(
    ("trigger", "position"),
    [
        ('type = "track" and type = "page"', 19),
        ('type = "track" and (event = "A" and type = "page")', 36),
        ('type = "track" and properties.a > 1 and type != "track"', 40),
        ("properties.a = 5 and properties.a > 5", 21),
        ('properties.a = 5 and properties.a = "5"', 21),
        ('event = "A" and !contains(event, "A")', 16),
        ("event = null and event != null", 17),
        ('event = "A" and (event = "B" or event = "C")', 17),
        ('(type = "track" and type = "page") or type = "identify"', 20),
        ('!(type != "track" or type != "page")', 21),
        ('type = "page" and event = "A" and type = "track"', 34),
    ],
)
def test_a_trigger_that_is_true_of_no_event_is_refused_at_its_second_condition(trigger, position):
    with pytest.raises(InvalidTrigger, match="the mapping would never fire") as caught:
        check_trigger(trigger)

    assert caught.value.position == position


@pytest.mark.parametrize(
    "trigger",
    [
        'type = "track"',
        'type = "track" and event != "A" and event != "B"',
        'type = "track" or type = "page"',
        'type = "track" and (type = "page" or event = "A")',
        'type = "track" and type = "track"',
        "properties.a = 5 and properties.a >= 5 and properties.a = 5.0",
        'event = null and event != "A"',
        'event = "AB" and contains(event, "A") and match(event, "*B")',
        "!(" * 15 + 'type = "track" or type = "page"' + ")" * 15,
    ],
)
def test_a_trigger_that_is_true_of_some_event_is_taken(trigger):
    check_trigger(trigger)


def misfit(setup, fields, action="trackEvent"):
    schema = setup().actions["rehook"][action]
    return [fault.message for fault in misfits(action, schema, expand(fields))]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metadata": "gold"}, "metadata must be an object, not a text. Write $.properties, for"),
        ({"metadata": {"@literal": "$.traits"}}, "metadata must be an object, and @literal makes"),
        ({"metadata": "{{event}}"}, "metadata must be an object, and @template makes a text"),
        ({"event_name": {}}, "event_name must be text, not an object."),
        (
            {"event_name": {"@merge": {"objects": [], "direction": "left"}}},
            "@merge makes an object",
        ),
        ({"event_name": None}, "trackEvent needs the field event_name, and null is not sent."),
        ({"source_id": False}, "source_id must be text or a number, not true or false"),
        ({"source_id": " "}, "source_id"),
    ],
)
def test_a_value_that_its_field_never_takes_is_a_fault(setup, fields, said):
    [message] = misfit(setup, fields)

    assert said in message


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {}},
        {"metadata": None},
        {"metadata": "$.properties"},
        {"metadata": {"a": "{{event}}"}},
        {"event_name": 5},
        {"event_name": "{{event}}"},
        {"event_name": {"@json": {"mode": "decode", "value": "x"}}},
        {"source_id": "{{userId}}"},
        {"no_such_field": 5},
    ],
)
def test_a_value_that_its_field_may_take_is_none(setup, fields):
    assert misfit(setup, fields) == []


def paths(fields, trigger='type = "track"', events=EVENTS):
    found = dead_paths(trigger, {"fields": expand(fields)}, Seen(events))
    return [(each.path, each.near) for each in found]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"a": "$.properties.totl"}, [("$.properties.totl", "$.properties.total")]),
        ({"a": "$.propertes.total"}, [("$.propertes.total", "$.properties.total")]),
        ({"a": "$.total"}, [("$.total", "$.properties.total")]),
        ({"a": "$.properties.email"}, [("$.properties.email", "$.traits.email")]),
        ({"a": "$.properties.tier"}, [("$.properties.tier", None)]),
        ({"a": "$.traits.address.city"}, [("$.traits.address.city", None)]),
        ({"a": "{{properties.totl}}"}, [("properties.totl", "properties.total")]),
        (
            {"a": '$.properties["net pric"]'},
            [('$.properties["net pric"]', '$.properties["net price"]')],
        ),
        (
            {"a": "$.properties.products[7].skuu"},
            [("$.properties.products[7].skuu", "$.properties.products[0].sku")],
        ),
        (
            {"a": {"@liquid": "{{ properties.totl | plus: 1 }}"}},
            [("properties.totl", "properties.total")],
        ),
        ({"a": {"@if": {"exists": "$.evnt", "then": "$.evnt"}}}, [("$.evnt", "$.event")]),
        ({"a": {"@arrayPath": ["$.properties.products", {"s": "$.skuu"}]}}, [("$.skuu", "$.sku")]),
        (
            {"a": {"@arrayPath": ["$.properties.product", {"s": "$.skuu"}]}},
            [("$.properties.product", "$.properties.products")],
        ),
        (
            {
                "a": {
                    "@transform": {
                        "apply": {"total": "$.properties.total"},
                        "mapping": {"b": "$.totl"},
                    }
                }
            },
            [("$.totl", "$.total")],
        ),
    ],
)
def test_a_path_that_no_event_has_is_found_with_the_nearest(fields, found):
    assert paths(fields) == found


@pytest.mark.parametrize(
    "fields",
    [
        {"a": "$.properties.total", "b": ["$.traits", {"c": "$.traits.address"}]},
        {"a": "$.properties.products[9].price"},
        {"a": '$.properties["a.b"]'},
        {"a": {"@literal": "$.no.such"}},
        {
            "a": {
                "@liquid": "{% assign x = properties.total %}{{ x }} {{ properties.products.size }}"
            }
        },
        {"a": {"@arrayPath": ["$.properties.products", {"s": "$.sku", "p": "$.price"}]}},
        {"a": {"@transform": {"apply": {"n": "$.event"}, "mapping": {"b": "$.n"}}}},
        {"a": {"@path": {"@template": "$.{{event}}"}}},
        {"a": {"@path": ""}},
    ],
)
def test_a_path_that_an_event_has_is_not(fields):
    assert paths(fields) == []


def test_a_trigger_is_looked_at_too_and_points_at_its_field():
    trigger = 'type = "track" and !contains(properties.totl, "x")'
    [found] = dead_paths(trigger, {}, Seen(EVENTS))

    assert (found.path, found.near) == ("properties.totl", "properties.total")
    assert trigger[found.offset :].startswith("properties.totl")


def test_a_path_is_told_once():
    assert len(paths({"a": "$.x1", "b": ["$.x1", "{{x1}}"]})) == 1


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ('type = "Track"', [("no call has the type Track. Did you mean track?", 0)]),
        (
            'type = "page" or type = "trak"',
            [("no call has the type trak. Did you mean track?", 17)],
        ),
        ('type = "identify" and event = "A"', [("only track calls have an event.", 22)]),
        (
            'type = "page" and (event = "A" or userId = "u")',
            [("only track calls have an event.", 19)],
        ),
        ('type = "track" and event = "A"', []),
        ('type = "identify" or event = "A"', []),
        ('type != "Track" and type = "identify" and event = null', []),
    ],
)
def test_a_trigger_that_hardly_ever_fires_is_doubted(trigger, told):
    found = [(message, offset) for message, offset in doubts(trigger)]

    assert [offset for _, offset in found] == [offset for _, offset in told]
    assert all(one[0].startswith(other[0]) for one, other in zip(found, told, strict=True))


def test_the_types_are_those_that_are_routed():

    assert lint.TYPES == TYPES


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("properties.total", "$.properties.total"),
        ("$properties.total", "$.properties.total"),
        ("$traits", "$.traits"),
        ("context.ip", "$.context.ip"),
        ("traits. And more", None),
        ("properties", None),
        ({"@path": "properties.total"}, None),
        ({"@literal": "properties.total"}, None),
        ({"@if": {"exists": "$.userId", "then": "traits.x"}}, "$.traits.x"),
    ],
)
def test_a_path_without_its_beginning_is_doubted(text, path):
    found = [each.message for each in half_paths(expand({"metadata": {"a": [text]}}))]

    assert [message.rpartition("write ")[2].rstrip(".") for message in found] == [path] * bool(path)


def test_lint_warns_of_both_at_their_places(tmp_path, setup):
    folder = tmp_path / "segment-to-rehook"
    folder.mkdir()
    (folder / "order.yaml").write_text(
        'name: A\naction: trackEvent\ntrigger: type = "Track"\n'
        "fields:\n  event_name: properties.name\n  source_id: $.userId\n"
    )
    ours = setup()
    [_], faults = ours.read_mappings(tmp_path, {})

    assert [(each.line, each.column, each.severity) for each in faults] == [
        (3, 10, "warning"),
        (5, 15, "warning"),
    ]
    assert ours.read_mappings(tmp_path)[1] == []
