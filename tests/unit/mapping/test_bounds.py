"""Bounds: what no mapping can do to the service, whatever the event."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from destination.mapping import MappingFailed, bounds, compile_mapping, transform

WHOLE = {"@path": "$."}


def nested(levels):
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


EVENT = {
    "text": "a" * 30_000,
    "object": {f"key {number}": "value" * 4 for number in range(800)},
    "list": [{"s": "x" * 30} for _ in range(500)],
}


def doubled(levels):
    mapping: dict[str, object] = {"x": WHOLE, "y": WHOLE}
    for _ in range(levels):
        mapping = {"@transform": {"apply": mapping, "mapping": {"x": WHOLE, "y": WHOLE}}}
    return mapping


def grown(levels):
    value: dict[str, object] = {"@path": "$.text"}
    for _ in range(levels):
        value = {"@replace": {"value": value, "pattern": "a", "replacement": "a" * 10}}
    return value


def shaped(levels):
    mapping: dict[str, object] = {"s": WHOLE, "t": WHOLE}
    for _ in range(levels):
        mapping = {"p": {"@arrayPath": ["$.", mapping]}, "q": {"@arrayPath": ["$.", mapping]}}
    return mapping


GREEDY = {
    "transform": doubled(20),
    "replace": grown(6),
    "replace, many times": [grown(2)] * 20,
    "arrayPath": shaped(8),
    "template": [{"@template": "{{object}}{{list}}"}] * 200,
    "json": [{"@json": {"mode": "encode", "value": WHOLE}}] * 200,
    "flatten": [{"@flatten": {"value": WHOLE, "separator": "_" * 100}}] * 200,
    "merge": [{"@merge": {"objects": [{"@path": "object"}] * 20, "direction": "left"}}] * 200,
    "case": [{"@case": {"operator": "upper", "value": {"@path": "text"}}}] * 200,
    "excludeWhenNull": [{"@excludeWhenNull": {"@path": "object"}}] * 2_000,
    "path": [WHOLE] * 5_000,
    "join": {"@join": {"values": [{"@path": "text"}] * 1_000, "separator": "_" * 100}},
    "hash": [{"@hash": {"value": {"@path": "text"}}}] * 200,
    "omit": [{"@omit": {"value": WHOLE, "keys": ["list.s", "object.x"]}}] * 2_000,
    "number": [{"@number": {"value": {"@path": "text"}}}] * 200,
    "boolean": [{"@boolean": {"value": {"@path": "object"}}}] * 2_000,
}


class Work:
    """A processor's clock that gets on with each call that is made, by 100 ns.

    It says the same on a slow machine, and where what the other tests left behind is collected
    as garbage in the middle of a run, which takes a quarter of a second.
    """

    made = 0

    def __enter__(self):
        self.before = sys.getprofile()
        sys.setprofile(self.count)
        return self

    def __exit__(self, *_):
        sys.setprofile(self.before)

    def count(self, _frame, what, _argument):
        self.made += what in ("call", "c_call")

    def __call__(self):
        return self.made * 1e-7


@pytest.mark.parametrize("greedy", GREEDY.values(), ids=GREEDY)
def test_a_mapping_that_makes_too_much_of_an_event_fails_soon(greedy, monkeypatch):
    run, clock = compile_mapping(greedy), Work()
    monkeypatch.setattr(bounds, "thread_time", clock)
    failed = pytest.raises(MappingFailed, match=r"more than 1,000,000 characters|longer than 50 ms")
    with failed, clock:
        run(EVENT)

    assert clock() < 1.5 * bounds.LONGEST_RUN


@pytest.mark.parametrize(
    "walk",
    [
        {"@template": "{{v}}"},
        {"@json": {"mode": "encode", "value": {"@path": "v"}}},
        {"@flatten": {"value": {"@path": "v"}, "separator": "."}},
        {"@excludeWhenNull": {"@path": "v"}},
        {"@omit": {"value": {"@path": "v"}, "keys": [".".join("a" * 200)]}},
    ],
    ids=lambda walk: next(iter(walk)),
)
def test_an_event_nested_too_deep_for_a_directive_fails(walk):
    with pytest.raises(MappingFailed, match="nested deeper than 100 levels"):
        transform(walk, {"v": nested(5_000)})


def test_a_list_nested_too_deep_for_a_template_fails():
    value = []
    for _ in range(5_000):
        value = [value]

    with pytest.raises(MappingFailed, match="nested deeper"):
        transform({"@template": "{{v}}"}, {"v": value})


def test_a_deep_event_passes_where_nothing_walks_through_it():
    deep = nested(5_000)

    assert transform({"v": {"@path": "$.v"}}, {"v": deep})["v"] is deep


def test_each_event_has_a_budget_of_its_own():
    run = compile_mapping([{"@template": "{{text}}"}] * 20)

    for _ in range(5):
        made = run(EVENT)
        assert isinstance(made, list)
        assert len(made) == 20


@pytest.mark.parametrize(
    ("directive", "text"), [("@path", "a" * 1_001), ("@template", "a" * 10_001)]
)
def test_a_text_that_an_event_brings_is_bounded_like_one_of_the_mapping(directive, text):
    with pytest.raises(MappingFailed, match="cannot be read"):
        transform({directive: {"@path": "v"}}, {"v": text})


def test_each_thread_has_a_budget_of_its_own():
    run = compile_mapping([{"@template": "{{text}}"}] * 30)
    with ThreadPoolExecutor(8) as threads:
        payloads = list(threads.map(run, [EVENT] * 64))

    assert payloads == [["a" * 30_000] * 30] * 64
