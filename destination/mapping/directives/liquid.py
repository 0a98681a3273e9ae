"""`@liquid` is a small program in the Liquid language, which writes one text of an event.

It runs under Segment's bounds and some more. There are no loops and no other files, so what a
program does is in proportion to its length; and what each filter reads and writes is counted.
"""

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal
from functools import wraps
from itertools import takewhile
from typing import ClassVar, TextIO

from liquid import BoundTemplate, Environment, RenderContext, Undefined
from liquid.ast import Node
from liquid.builtin.filters.math import divided_by
from liquid.builtin.filters.misc import date as liquid_date
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.filter import num_arg
from liquid.stream import TokenStream
from liquid.tag import Tag

from destination.errors import InvalidMapping, MappingFailed
from destination.mapping.argument_types import JsonSchema, TextWithPaths
from destination.mapping.arguments import Argument, Resolve, run_fault
from destination.mapping.bounds import LARGEST_OUTPUT, Where, spend
from destination.mapping.directives.base import Directive, as_read
from destination.mapping.paths import Keys
from destination.mapping.stringify import as_json, as_text
from destination.support.text import did_you_mean, kind

#: Characters that a program may have, as at Segment.
LONGEST_PROGRAM = 1_000

#: Tags that Segment has switched off: they loop, or read other files.
_TAGS_OFF = ("case", "for", "include", "layout", "render", "tablerow")

#: Filters that Segment has switched off.
_FILTERS_OFF = (
    "array_to_sentence_string",
    "concat",
    "find",
    "find_exp",
    "find_index",
    "find_index_exp",
    "group_by",
    "group_by_exp",
    "has",
    "has_exp",
    "map",
    "newline_to_br",
    "reject",
    "reject_exp",
    "reverse",
    "sort",
    "sort_natural",
    "type",
    "uniq",
    "where_exp",
)

#: Characters that a filter reads whose time is not in proportion to them.
_LONGEST_INPUT = {"date": 100, "strip_html": 2_000}

#: What an item of a list costs, in characters.
_ITEM = 10

#: Digits are multiplied by one another: beyond this a number is no number of an event.
_LARGEST_NUMBER = 1 << 4_096


class Program(TextWithPaths):
    """A program that stands in the mapping: an event cannot bring one."""

    def read(self, argument: Argument) -> Resolve:
        if not isinstance(argument.value, str):
            raise argument.fault(f"@liquid takes a text, not {kind(argument.value)}")
        if len(argument.value) > LONGEST_PROGRAM:
            raise InvalidMapping(
                f"@liquid takes at most {LONGEST_PROGRAM:,} characters, not "
                f"{len(argument.value):,}",
                argument.where,
            )
        program = _parse(argument.value, argument.where)

        def run(payload: object) -> str:
            try:
                return program.render(payload if isinstance(payload, dict) else {})
            except MappingFailed:
                raise
            except Exception as error:
                # Whatever a filter makes of the data, it is this event that fails and nothing
                # else. What it says of the data is left out: an event's data belongs in no log.
                reason = f"@liquid cannot work with this event: {type(error).__name__}"
                raise run_fault(argument, reason) from None

        return run

    def schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": LONGEST_PROGRAM}

    def paths_in(self, text: str) -> list[Keys]:
        """A path ends before what is no key of the event: a number of items, another value's
        key.
        """
        names = _ENVIRONMENT.from_string(text).analyze(include_partials=False).globals.values()
        segments = (variable.segments for variables in names for variable in variables)
        return [tuple(map(str, takewhile(_is_key, each))) for each in segments]


def _is_key(segment: object) -> bool:
    return isinstance(segment, str | int) and segment not in ("size", "first", "last")


def _parse(text: str, where: Where) -> BoundTemplate:
    try:
        program = _ENVIRONMENT.from_string(text)
    except LiquidError as error:
        raise InvalidMapping(f"@liquid cannot be read: {error.message}", where) from error
    for name in program.analyze(include_partials=False).filters:
        if name in _FILTERS_OFF:
            raise InvalidMapping(
                f"the filter {name} is switched off in @liquid, as at Segment", where
            )
        if name not in _ENVIRONMENT.filters:
            hint = did_you_mean(name, _ENVIRONMENT.filters)
            raise InvalidMapping(f"@liquid has no filter {name}. {hint}", where)
    return program


def _shown(value: object) -> str:
    """Write a value as Segment's Liquid does: items of a list with nothing between them."""
    if isinstance(value, list | tuple):
        return "".join(map(_shown, value))
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, Undefined):
        return ""
    return as_text(value)


class _OutputNode(OutputNode):
    """`{{ … }}` written as JavaScript writes it, not as Python does."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        written = _shown(self.expression.evaluate(context))
        spend(len(written))
        return buffer.write(written)


class _EchoNode(EchoNode, _OutputNode):
    """`{% echo … %}`, the same inside a `{% liquid %}` tag."""


class _Output(Output):
    node_class = _OutputNode


class _Echo(EchoTag):
    node_class = _EchoNode


class _SwitchedOff(Tag):
    """A tag that says that it is switched off."""

    def parse(self, stream: TokenStream) -> Node:
        name = stream.current.value
        raise LiquidSyntaxError(f"the tag {name} is switched off, as at Segment", token=None)


class _Environment(Environment):
    output_stream_limit: ClassVar[int] = LARGEST_OUTPUT
    local_namespace_limit: ClassVar[int] = LARGEST_OUTPUT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_Output)
        self.add_tag(_Echo)
        for name in _TAGS_OFF:
            self.tags[name] = _SwitchedOff(self)
        for name in _FILTERS_OFF:
            self.filters.pop(name, None)
        self.filters |= {
            "date": _date,
            "divided_by": _divided_by,
            "join": _join,
            "json": _json,
            "round": _round,
        }
        self.filters = {name: _metered(name, run) for name, run in self.filters.items()}


def _metered(name: str, run: Callable[..., object]) -> Callable[..., object]:
    """Wrap a filter, so that what it reads and writes is counted before memory holds it."""
    longest = _LONGEST_INPUT.get(name, LARGEST_OUTPUT)
    # python-liquid makes texts of other values as Python does: True, 8.0, {'a': 1}.
    writes_text = run.__module__ == "liquid.builtin.filters.string" and name != "slice"

    @wraps(run)
    def filtered(*values: object, **settings: object) -> object:
        if writes_text:
            values = tuple(map(_shown, values))
        for value in values:
            size = _size(value)
            if size > longest:
                raise MappingFailed(f"@liquid: {name} reads at most {longest:,} characters")
            spend(size)
        if name in _PRODUCTS:
            spend(_PRODUCTS[name](*values))
        made = run(*values, **settings)
        spend(_size(made))
        return made

    return filtered


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple | dict | range):
        return len(value) * _ITEM
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise MappingFailed("@liquid: a number has more than a thousand digits")
    return 1


def _replaced(text: str, old: str, new: str = "", *_: object) -> int:
    return text.count(old) * len(new)


def _joined(items: object, separator: object = " ") -> int:
    return len(items) * len(_shown(separator)) if isinstance(items, list | range) else 0


#: Filters that can write as much as one input times another: how much it will be.
_PRODUCTS: dict[str, Callable[..., int]] = {"replace": _replaced, "join": _joined}


def _divided_by(number: object, divisor: object) -> object:
    """Divide as JavaScript does: 3 by 2 is 1.5."""
    return divided_by(float(num_arg(number, default=0)), divisor)


def _round(number: object, digits: object = 0) -> float:
    """Round halves away from zero, as people do: 98.5 is 99. Python makes it 98."""
    exact = Decimal(as_text(num_arg(number, default=0)))
    unit = Decimal(1).scaleb(-int(num_arg(digits, default=0)))
    return float(exact.quantize(unit, ROUND_HALF_UP))


def _join(items: object, separator: object = " ") -> str:
    if not isinstance(items, list | tuple | range):
        return _shown(items)
    return _shown(separator).join(map(_shown, items))


def _json(value: object, *_: object) -> str:
    return "" if isinstance(value, Undefined) else as_json(value)


def _date(when: object, pattern: object = "%A, %B %-e, %Y at %-l:%M %P %z") -> str:
    """Write a date, in UTC as at Segment. A number is seconds since 1970."""
    text = _shown(when)
    moment: dt.datetime | str = text
    if text in ("now", "today"):
        moment = dt.datetime.now(dt.UTC)
    elif text.isdecimal():
        moment = dt.datetime.fromtimestamp(int(text), dt.UTC)
    else:
        # What is not written as ISO 8601 is left to python-liquid to read.
        with suppress(ValueError):
            moment = dt.datetime.fromisoformat(text)
            moment = moment.astimezone(dt.UTC) if moment.tzinfo else moment
    return str(liquid_date(moment, _shown(pattern), environment=_ENVIRONMENT))


_ENVIRONMENT = _Environment()


LIQUID = Directive(
    name="@liquid",
    shape='{"@liquid": "{{ traits.name | upcase }}"}',
    order=130,
    takes=Program(),
    build=as_read,
    makes="text",
)
