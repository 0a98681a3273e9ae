"""Explaining says why a trigger does not match an event, and how a payload came about.

It has no rules of its own: conditions and directives are compiled as ever, and watched at work.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from destination.mapping.arguments import Resolve, compile_root, is_directive
from destination.mapping.bounds import LONGEST_RUN, Where, metered
from destination.mapping.compiler import compile_value
from destination.mapping.conditions import Comparison, Condition, Constant, compile_condition
from destination.mapping.directives import parted
from destination.mapping.directives.base import Directive, Traced
from destination.mapping.directives.template import places
from destination.mapping.paths import MISSING, reader
from destination.mapping.stringify import number_text
from destination.mapping.triggers import parse_trigger
from destination.support.text import kind, printable

#: Characters that are shown of a value, a path or a template; the rest is cut.
SHOWN = 60

#: Seconds that a mapping may take while it is watched, which slows it down.
WATCHED_RUN = LONGEST_RUN * 20

#: How a comparison that is no sign is written. A `not` before its name is a `!` before it all.
_FUNCTIONS = {
    "contains": 'contains({}, "{}")',
    "starts with": 'match({}, "{}*")',
    "ends with": 'match({}, "*{}")',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmet:
    """A condition that does not hold for an event: `properties.total > 100`."""

    #: As a trigger writes it, with each `!` worked in.
    condition: str
    #: What it finds instead, in words: `properties.total is missing`.
    finding: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """How one value of a payload came about."""

    #: Where it stands in the payload: `("metadata", "total")`.
    place: Where
    #: In words, with what was found on the way: `$.properties.total = 27.5`.
    text: str
    #: What is sent there, or MISSING.
    found: object
    #: Paths in the middle of it that led to nothing: `properties.totl` of a template.
    lost: tuple[str, ...]
    #: Whether the mapping broke here. The values behind it were never reached.
    failed: bool


@dataclass(kw_only=True, slots=True)
class _Step:
    """One part of a mapping at work: what is written there, and what it made."""

    where: Where
    written: object
    found: object = MISSING
    failed: bool = True
    parts: list["_Step"] = field(default_factory=list)


def explain_trigger(trigger: object, event: Mapping[str, object]) -> list[Unmet]:
    """Return the conditions that keep a trigger from matching an event: none where it matches.

    Of conditions joined by `and` it is the first that does not hold, of those joined by `or` it
    is all of them. Raises InvalidTrigger if the trigger cannot be read.
    """
    return list(_unmet(parse_trigger(trigger), event))


def explain_fields(fields: dict[str, object], event: Mapping[str, object]) -> list[Trace]:
    """Return the trace of each value of the payload, in the order of the mapping.

    Where the mapping itself writes an object or a list, each value inside has a trace of its own.
    `fields` are in Segment's form. Raises InvalidMapping if they do not compile.
    """
    watch = _Watch()
    run = metered(compile_root(fields, (), watch.compile), WATCHED_RUN)
    with suppress(Exception):  # the steps show where it broke; routing says why
        run(event)
    return [trace for step in watch.steps if step.where == () for trace in _traces(step)]


def shown(value: object) -> str:
    """Write a value as JSON, cut with … where it is long."""
    if value is MISSING:
        return "missing"
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _unmet(condition: Condition, event: Mapping[str, object]) -> Iterator[Unmet]:
    if compile_condition(condition)(event):
        return
    if isinstance(condition, Comparison):
        yield Unmet(condition=_written(condition), finding=_finding(condition, event))
        return
    for inner in condition.conditions:
        found = list(_unmet(inner, event))
        yield from found
        if found and condition.word == "and":
            return


def _written(condition: Comparison) -> str:
    name = _name(condition.keys)
    word = condition.operator.removeprefix("not ")
    if word not in _FUNCTIONS:
        return f"{name} {word} {_constant(condition.constant)}"
    written = _FUNCTIONS[word].format(name, _escaped(str(condition.constant)))
    return written if word == condition.operator else f"!{written}"


def _constant(constant: Constant) -> str:
    if isinstance(constant, str):
        return f'"{_escaped(constant)}"'
    if isinstance(constant, bool) or constant is None:
        return json.dumps(constant)
    return number_text(constant)


def _escaped(text: str) -> str:
    return re.sub(r'([\\"])', r"\\\1", text)


def _name(keys: tuple[str, ...]) -> str:
    """Write what a condition reads: `properties.products[0]["net price"]`."""
    return keys[0] + "".join(map(_step_to, keys[1:]))


def _step_to(key: str) -> str:
    if key.isdigit():
        return f"[{key}]"
    if '"' in key or re.fullmatch(r"[\w$-]+", key):
        return "." + re.sub(r"([^\w$-])", r"\\\1", key)
    return f'["{key}"]'


def _finding(condition: Comparison, event: Mapping[str, object]) -> str:
    found = reader(condition.keys)(event)
    name = _name(condition.keys)
    subject = name if len(condition.keys) > 1 else f"the {name}"
    wanted = kind(condition.constant)
    comparable = wanted in ("null", kind(found)) or found is None or found is MISSING
    return f"{subject} is {shown(found)}" + ("" if comparable else f", not {wanted}")


class _Watch:
    """Compiles a mapping so that every part of it tells what it makes, when it is run once."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self._around = self.steps

    def compile(self, written: object, where: Where) -> Resolve:
        resolve = compile_value(written, where, self.compile)
        inside = [self.compile({"@path": place}, (*where, place)) for place in _places(written)]

        def run(event: object) -> object:
            step = _Step(where=where, written=written)
            around, self._around = self._around, step.parts
            around.append(step)
            for read in inside:
                read(event)
            step.found = resolve(event)
            step.failed = False
            self._around = around
            return step.found

        return run


def _places(written: object) -> list[str]:
    """The paths in a template's places, which are watched as if the mapping held them."""
    directive, argument = parted(written)
    by_places = directive is not None and directive.traced is Traced.BY_ITS_PLACES
    return places(argument) if by_places and isinstance(argument, str) else []


def _traces(step: _Step) -> Iterator[Trace]:
    if step.parts and not is_directive(step.written):
        for part in step.parts:
            yield from _traces(part)
        return
    yield Trace(
        place=step.where,
        text=_said(step),
        found=step.found,
        lost=tuple(dict.fromkeys(_lost(step, told=True))),
        failed=step.failed,
    )


def _said(step: _Step) -> str:
    """The trace of one value: `$.traits.name = "Ann" → @case = "ANN"`."""
    directive, _ = parted(step.written)
    if step.failed:
        return f"{_source(step)} fails"
    if directive is None or directive.literal or directive.traced is Traced.BY_ITS_BRANCH:
        return _source(step)
    if step.found is MISSING:
        return f"{_source(step)} {'makes nothing' if step.parts else 'is missing'}"
    return f"{_source(step)} = {shown(step.found)}"


def _source(step: _Step) -> str:
    """The trace of one value without the value: `$.traits.name = "Ann" → @case`."""
    directive, argument = parted(step.written)
    if directive is None:
        return shown(step.found)
    if directive.literal:
        return _said(step.parts[0])
    if directive.traced is Traced.BY_ITS_BRANCH:
        return _choice(directive.name, step.parts)
    if directive.stage and isinstance(argument, list):
        argument = argument[0]
    if isinstance(argument, str):
        return _text(directive, argument)
    inputs = [_said(part) for part in step.parts if not _is_stage(part, step)]
    return f"{', '.join(inputs)} → {directive.name}" if inputs else directive.name


def _text(directive: Directive[Any], argument: str) -> str:
    """A directive whose argument is a text, in the trace."""
    if directive.traced is Traced.BY_ITS_TEXT:
        return _cut(argument)
    if directive.traced is Traced.BY_ITS_PLACES:
        return shown(argument)
    return _cut(f"{directive.name} {argument}")


def _choice(name: str, parts: list[_Step]) -> str:
    """The trace of an `@if`: what it asked for, and the branch that it took."""
    test, *branch = parts
    word = test.where[-1]
    if not branch:
        return f"{name} {word} {_said(test)}" + ("" if test.failed else " → nothing")
    [taken] = branch
    asked = _source(test) if taken.written == test.written else _said(test)
    otherwise = "else " if taken.where[-1] == "else" else ""
    return f"{name} {word} {asked} → {otherwise}{_said(taken)}"


def _is_stage(part: _Step, step: _Step) -> bool:
    """Whether a part of a directive shapes what comes out, and brings no value in."""
    directive, _ = parted(step.written)
    if directive is None or directive.stage is None:
        return False
    return part.where[len(step.where) :] == (directive.name, directive.stage.part)


def _lost(step: _Step, *, told: bool) -> Iterator[str]:
    """The paths below a step that led to nothing. `told`: the trace's text shows this step."""
    directive, argument = parted(step.written)
    how = directive.traced if directive else None
    if how is Traced.BY_ITS_TEXT and isinstance(argument, str):
        if step.found is MISSING and not told:
            yield argument
        return
    shows_parts = how is not None and how is not Traced.BY_ITS_PLACES
    for part in step.parts:
        yield from _lost(part, told=told and shows_parts and not _is_stage(part, step))
