"""A condition is what a trigger asks of an event: a comparison, or several under one word."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from destination.mapping.paths import MISSING, Read, reader

#: A compiled condition: from an event to whether it holds.
Test = Callable[[object], bool]

#: Makes a test of the way to a value and the constant that it is compared with.
Make = Callable[[Read, "Constant"], Test]

Constant = str | bool | int | float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One value of the event against one constant: `properties.price >= 100`."""

    keys: tuple[str, ...]
    operator: str
    constant: Constant
    #: Where it stands in the trigger: its first character, and the one behind its last.
    span: tuple[int, int] = field(default=(0, 0), compare=False)

    def holds_for(self, value: object) -> bool:
        """Whether it holds where the event has this value."""
        return _TESTS[self.operator, _kind(self.constant)](lambda _: value, self.constant)(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Conditions of which all (`and`) or one (`or`) must hold."""

    word: str
    conditions: "tuple[Condition, ...]"


Condition = Comparison | Group

_OPPOSITES = {
    "=": "!=",
    "<": ">=",
    ">": "<=",
    "contains": "not contains",
    "starts with": "not starts with",
    "ends with": "not ends with",
    "and": "or",
}
_OPPOSITES |= {word: opposite for opposite, word in _OPPOSITES.items()}


def opposite(condition: Condition) -> Condition:
    """Turn each comparison into its opposite, and `and` into `or`.

    So `!(price >= 100)` is `price < 100`, and neither holds where there is no price: as with
    `!contains()` in Segment's triggers, a value that is not there matches nothing.
    """
    if isinstance(condition, Group):
        inner = tuple(opposite(each) for each in condition.conditions)
        return Group(word=_OPPOSITES[condition.word], conditions=inner)
    return replace(condition, operator=_OPPOSITES[condition.operator])


def compile_condition(condition: Condition) -> Test:
    """Return the function that says whether a condition holds for an event. It never raises."""
    if isinstance(condition, Comparison):
        return _comparison(condition)
    tests = [compile_condition(each) for each in condition.conditions]
    if len(tests) == 2:
        return _pair(condition.word, *tests)
    joined = all if condition.word == "and" else any
    return lambda event: joined(test(event) for test in tests)


def _pair(word: str, first: Test, second: Test) -> Test:
    if word == "and":
        return lambda event: first(event) and second(event)
    return lambda event: first(event) or second(event)


def _comparison(condition: Comparison) -> Test:
    make = _TESTS[condition.operator, _kind(condition.constant)]
    return make(reader(condition.keys), condition.constant)


def _kind(constant: Constant) -> str:
    match constant:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "text"
    return "number"


def _equal(read: Read, constant: Constant) -> Test:
    return lambda event: read(event) == constant


def _unequal(read: Read, constant: Constant) -> Test:
    return lambda event: read(event) != constant


def _same(read: Read, constant: Constant) -> Test:
    return lambda event: read(event) is constant


def _not_same(read: Read, constant: Constant) -> Test:
    return lambda event: read(event) is not constant


def _is_absent(read: Read, _: Constant) -> Test:
    def holds(event: object) -> bool:
        found = read(event)
        return found is None or found is MISSING

    return holds


def _is_there(read: Read, _: Constant) -> Test:
    absent = _is_absent(read, None)
    return lambda event: not absent(event)


def _of_number(compare: Callable[[float, float], bool]) -> Make:
    """Compare numbers only: to a trigger, "100" is a text, and true is not 1."""

    def make(read: Read, constant: Constant) -> Test:
        number = cast(float, constant)

        def holds(event: object) -> bool:
            found = read(event)
            return (type(found) is float or type(found) is int) and compare(found, number)

        return holds

    return make


def _of_text(compare: Callable[[str, str], bool], wanted: bool) -> Make:
    """Look into texts only: `contains` and `not contains` are both false of a number."""

    def make(read: Read, constant: Constant) -> Test:
        text = cast(str, constant)

        def holds(event: object) -> bool:
            found = read(event)
            return isinstance(found, str) and compare(found, text) is wanted

        return holds

    return make


#: By operator and kind of constant: how the test is made. null and missing are one to a trigger.
_TESTS: Mapping[tuple[str, str], Make] = {
    ("=", "text"): _equal,
    ("!=", "text"): _unequal,
    ("=", "boolean"): _same,
    ("!=", "boolean"): _not_same,
    ("=", "null"): _is_absent,
    ("!=", "null"): _is_there,
    ("=", "number"): _of_number(operator.eq),
    ("!=", "number"): _of_number(operator.ne),
    ("<", "number"): _of_number(operator.lt),
    ("<=", "number"): _of_number(operator.le),
    (">", "number"): _of_number(operator.gt),
    (">=", "number"): _of_number(operator.ge),
    ("contains", "text"): _of_text(operator.contains, True),
    ("not contains", "text"): _of_text(operator.contains, False),
    ("starts with", "text"): _of_text(str.startswith, True),
    ("not starts with", "text"): _of_text(str.startswith, False),
    ("ends with", "text"): _of_text(str.endswith, True),
    ("not ends with", "text"): _of_text(str.endswith, False),
}
