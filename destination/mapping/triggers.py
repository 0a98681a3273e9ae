"""A trigger says on which events a mapping fires: `type = "track" and event = "Order Completed"`.

It is written in the part of FQL that Segment's destinations know. Where Segment's reader drops
a part of a trigger without a word, this one does what is written, or refuses it and says what
to write instead.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from destination.errors import InvalidTrigger
from destination.mapping.conditions import (
    Comparison,
    Condition,
    Constant,
    Group,
    compile_condition,
    opposite,
)
from destination.mapping.stringify import as_text
from destination.mapping.tokens import Token, keys_of, text_of, tokenize
from destination.support.text import did_you_mean, nearest

#: Bytes that a trigger may have, as at Segment.
LONGEST_TRIGGER = 5 * 1024

#: Parentheses inside one another.
DEEPEST_TRIGGER = 20

#: What a trigger can read. The first are texts, the others hold values of the event's own.
_TEXT_FIELDS = ("type", "event", "name", "userId")
_FIELDS = (*_TEXT_FIELDS, "properties", "traits", "context")
_READS = "A trigger reads type, event, name, userId, properties.…, traits.… and context.…"

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_WRITE_INSTEAD = {
    "==": "=",
    "===": "=",
    "!==": "!=",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "in": "one = for each value, joined by or",
}

_WORDS: dict[str, Constant] = {"true": True, "false": False, "null": None}

_FUNCTIONS = ("contains", "match")


def compile_trigger(trigger: object) -> Callable[[object], bool]:
    """Compile a trigger into the function from an event to whether a mapping fires on it.

    The function never raises: a value that is missing, null or of another kind than the one
    asked for does not match. What is no event (an object) matches no trigger.

    Raises InvalidTrigger, its `position` at the character where the fault begins.
    """
    holds = compile_condition(parse_trigger(trigger))
    return lambda event: isinstance(event, dict) and holds(event)


def parse_trigger(trigger: object) -> Condition:
    """Read a trigger into its conditions.

    Raises InvalidTrigger, its `position` at the character where the fault begins.
    """
    if not isinstance(trigger, str):
        raise InvalidTrigger('a trigger is a text, such as type = "track"')
    if len(trigger.encode("utf-8", "surrogatepass")) > LONGEST_TRIGGER:
        raise InvalidTrigger("a trigger has at most 5 KB. Divide the mapping into several")
    return _Parser(trigger).parse()


def matches(trigger: object, event: object) -> bool:
    """Compile a trigger and ask it about one event: for trying things out."""
    return compile_trigger(trigger)(event)


class _Parser:
    """Reads a trigger from left to right, one token ahead."""

    def __init__(self, trigger: str) -> None:
        self._trigger = trigger
        self._tokens = tokenize(trigger)
        self._next = next(self._tokens)
        self._last_end = 0

    def parse(self) -> Condition:
        if self._next.kind == "end":
            raise InvalidTrigger('the trigger is empty. Write when to fire: type = "track"')
        condition = self._group(0)
        if self._next.kind != "end":
            raise _expected("and, or, or the end", self._next)
        return condition

    def _take(self) -> Token:
        token = self._next
        self._last_end = token.end
        if token.kind not in ("end", "fault"):
            self._next = next(self._tokens)
        return token

    def _group(self, depth: int) -> Condition:
        """Read conditions joined by one word, `and` or `or`."""
        if depth > DEEPEST_TRIGGER:
            raise InvalidTrigger(
                f"parentheses are nested deeper than {DEEPEST_TRIGGER} levels", self._next.start
            )
        parts = [self._part(depth)]
        words: list[Token] = []
        while self._is_word("and", "or"):
            words.append(self._take())
            parts.append(self._part(depth))
        if not words:
            return parts[0][0]
        first = words[0].text.lower()
        for word in words:
            if word.text.lower() != first:
                spans = [span for _, span in parts]
                raise InvalidTrigger(self._mixed(spans, words), word.start)
        return Group(word=first, conditions=tuple(condition for condition, _ in parts))

    def _part(self, depth: int) -> tuple[Condition, tuple[int, int]]:
        """Read one condition, and where it stands."""
        start = self._next.start
        negated = False
        while self._next.text == "!" or self._is_word("not"):
            self._take()
            negated = not negated
        condition: Condition
        if self._next.text == "(":
            self._take()
            condition = self._group(depth + 1)
            self._expect(")")
        else:
            condition = replace(self._comparison(), span=(start, self._last_end))
        return opposite(condition) if negated else condition, (start, self._last_end)

    def _comparison(self) -> Comparison:
        name = self._take()
        if name.kind != "name" or name.text.lower() in ("and", "or"):
            raise _expected("a field, such as type or properties.price", name)
        if self._next.text == "(":
            return self._function(name)
        keys = _field(name)
        operator = self._take()
        if operator.text not in _OPERATORS:
            raise _expected(f"one of {' '.join(_OPERATORS)} behind {name.text}", operator)
        value = self._take()
        constant = _constant(value)
        if operator.text in ("=", "!="):
            if keys[0] in _TEXT_FIELDS and constant is not None:
                constant = as_text(constant)
        else:
            constant = _number(constant, value, operator)
        return Comparison(keys=keys, operator=operator.text, constant=constant)

    def _function(self, name: Token) -> Comparison:
        """Read `contains(field, "text")`, or `match(field, "text*")` with a star at one end."""
        if name.text not in _FUNCTIONS:
            hint = did_you_mean(name.text, _FUNCTIONS)
            raise InvalidTrigger(f"unknown function {name.text}(). {hint}", name.start)
        self._expect("(")
        field = self._take()
        if field.kind != "name":
            raise _expected("a field, such as event", field)
        keys = _field(field)
        self._expect(",")
        token = self._take()
        constant = _constant(token)
        if constant is None:
            raise _expected("a text in quotes", token)
        text = as_text(constant)
        self._expect(")")
        operator = "contains"
        if name.text == "match":
            operator, text = _pattern(field.text, text, token)
        return Comparison(keys=keys, operator=operator, constant=text)

    def _expect(self, text: str) -> None:
        if self._next.text != text:
            raise _expected(text, self._next)
        self._take()

    def _is_word(self, *words: str) -> bool:
        return self._next.kind == "name" and self._next.text.lower() in words

    def _mixed(self, spans: list[tuple[int, int]], words: list[Token]) -> str:
        """Say how a trigger that mixes `and` with `or` is written with parentheses: both ways."""
        before, after = self._trigger[: spans[0][0]], self._trigger[spans[-1][1] :]
        texts = [self._trigger[start:end] for start, end in spans]
        joined = [word.text.lower() for word in words]
        one, other = (
            (before + _grouped(texts, joined, inner) + after).strip() for inner in ("and", "or")
        )
        return f"and beside or can be read in two ways. Write {one}, or if that is meant, {other}"


def _grouped(texts: list[str], words: list[str], inner: str) -> str:
    """Join texts by words, with parentheses around those that the inner word joins."""
    outer = "or" if inner == "and" else "and"
    runs = [[texts[0]]]
    for word, text in zip(words, texts[1:], strict=True):
        if word == inner:
            runs[-1].append(text)
        else:
            runs.append([text])
    parts = [f"({f' {inner} '.join(run)})" if len(run) > 1 else run[0] for run in runs]
    return f" {outer} ".join(parts)


def _field(name: Token) -> tuple[str, ...]:
    """Return the keys that lead to a field's value."""
    keys = keys_of(name.text)
    if keys[0] not in _FIELDS:
        near = nearest(keys[0], _FIELDS)
        hint = f"Did you mean {near}{name.text[len(keys[0]) :]}?" if near else _READS
        raise InvalidTrigger(f"unknown field {name.text}. {hint}", name.start)
    if keys[0] in _TEXT_FIELDS and len(keys) > 1:
        raise InvalidTrigger(f"{keys[0]} is a text and has no parts. {_READS}", name.start)
    if keys[0] not in _TEXT_FIELDS and len(keys) == 1:
        raise InvalidTrigger(
            f"{name.text} is asked for one of its values: write {name.text}.price", name.start
        )
    return keys


def _constant(token: Token) -> Constant:
    """Read what a field is compared with. A single word without quotes is a text, as at Segment."""
    if token.kind == "text":
        return text_of(token.text)
    if token.kind == "number":
        number = float(token.text)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    word = token.text.lower()
    if token.kind != "name" or word in ("and", "or", "not"):
        raise _expected('a value, such as "track", 99.5, true or null', token)
    if word in _WORDS:
        return _WORDS[word]
    if "." in token.text or "[" in token.text:
        raise InvalidTrigger(
            f'a field is compared with a value, not with a field. Write "{token.text}" in quotes',
            token.start,
        )
    return token.text


def _number(constant: Constant, value: Token, operator: Token) -> float:
    """Read what `<` and `>` compare with: a number, also in quotes, as at Segment."""
    if isinstance(constant, str) and re.fullmatch(r"[-+]?\d+(\.\d+)?", constant):
        return float(constant)
    if constant is None or isinstance(constant, bool | str):
        raise InvalidTrigger(f"{operator.text} compares numbers: write one here", value.start)
    return constant


def _pattern(field: str, text: str, token: Token) -> tuple[str, str]:
    """Return the operator that a pattern stands for, and the text beside its star."""
    inside = text.strip("*")
    if "*" in inside or text.startswith("**") or text.endswith("**"):
        raise InvalidTrigger('one star stands at one end of a pattern: "Order*"', token.start)
    if text == inside + "*":
        return "starts with", inside
    if text == "*" + inside:
        return "ends with", inside
    instead = f'{field} = "{text}"' if text == inside else f'contains({field}, "{inside}")'
    raise InvalidTrigger(f"match() has a star at one end of its text. Write {instead}", token.start)


def _expected(wanted: str, token: Token) -> InvalidTrigger:
    if token.kind == "fault":
        return InvalidTrigger(token.text, token.start)
    if token.text in _WRITE_INSTEAD:
        return InvalidTrigger(f"write {_WRITE_INSTEAD[token.text]}, not {token.text}", token.start)
    found = f"found {token.text}" if token.kind != "end" else "but the trigger ends"
    return InvalidTrigger(f"expected {wanted}, {found}", token.start)
