"""Lint finds in a mapping that compiles what can never work, and what is likely to be a mistake."""

import re
from collections.abc import Iterator, Mapping

from marshmallow import Schema

from destination.errors import InvalidMapping, InvalidTrigger
from destination.mapping.arguments import is_directive
from destination.mapping.bounds import walk
from destination.mapping.conditions import Comparison, Condition, Group
from destination.mapping.directives import DIRECTIVES, parted
from destination.mapping.paths import MISSING
from destination.mapping.triggers import parse_trigger
from destination.support.text import did_you_mean, kind

#: The types of a call. A trigger compares with them letter by letter: `Track` is none.
TYPES = ("identify", "track", "page", "screen", "group", "alias")

#: A path whose `$.` was forgotten: `properties.total`, `$traits.email`.
_HALF_A_PATH = re.compile(r"\$?((properties|traits|context)\.[^\s.]\S*)|\$((properties|traits)\S*)")

#: The directives in which a text means itself.
_LITERALS = {name for name, directive in DIRECTIVES.items() if directive.literal}

#: The comparisons that leave a value of the event no choice, by the keys that lead to it.
_Fixed = Mapping[tuple[str, ...], Comparison]


def check_trigger(trigger: str) -> None:
    """Raise InvalidTrigger for a trigger that is true of no event, or cannot be read."""
    for chain in _chains(parse_trigger(trigger)):
        if clash := _clash(chain, {}):
            first, second = sorted(clash, key=lambda each: each.span)
            one, other = (trigger[slice(*each.span)] for each in (first, second))
            raise InvalidTrigger(
                f"{other} is never true together with {one}, so the mapping would never fire. "
                f"Write ({one} or {other}), or take one of them out",
                second.span[0],
            )


def doubts(trigger: str) -> Iterator[tuple[str, int]]:
    """Yield why a trigger, or a part of it, never fires: the message, and the offset in its text.

    Raises InvalidTrigger if it cannot be read.
    """
    condition = parse_trigger(trigger)
    for each in comparisons(condition):
        wanted = each.constant
        if each.keys == ("type",) and each.operator == "=" and wanted not in TYPES:
            hint = did_you_mean(str(wanted), TYPES)
            yield f"no call has the type {wanted or 'null'}. {hint}", each.span[0]
    for chain in _chains(condition):
        types = {
            each.constant
            for each in chain.conditions
            if isinstance(each, Comparison)
            and (each.keys, each.operator) == (("type",), "=")
            and each.constant in TYPES
        }
        if not types or "track" in types:
            continue
        for each in comparisons(chain):
            if each.keys == ("event",) and each.operator != "!=" and each.constant is not None:
                name = "name" if types & {"page", "screen"} else "properties, traits or context"
                yield f"only track calls have an event. Ask for {name} instead.", each.span[0]


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Yield every comparison of a condition, in order."""
    if isinstance(condition, Comparison):
        yield condition
    else:
        for each in condition.conditions:
            yield from comparisons(each)


def half_paths(fields: Mapping[str, object]) -> Iterator[InvalidMapping]:
    """Yield each text that is sent as it stands and looks like a path.

    `fields` are in Segment's form.
    """
    for value, where in walk(fields):
        found = isinstance(value, str) and _HALF_A_PATH.fullmatch(value)
        if found and _LITERALS.isdisjoint(where) and not str(where[-1]).startswith("@"):
            path = found[1] or found[3]
            message = f"{value} is sent as this text. For what the event has there, write $.{path}."
            yield InvalidMapping(message, where)


def _chains(condition: Condition) -> Iterator[Group]:
    """Every group of conditions joined by `and`, also inside others."""
    if isinstance(condition, Group):
        if condition.word == "and":
            yield condition
        for each in condition.conditions:
            yield from _chains(each)


def _clash(condition: Condition, fixed: _Fixed) -> tuple[Comparison, Comparison] | None:
    """Two comparisons that keep a condition from ever being true where `fixed` is."""
    if isinstance(condition, Comparison):
        other = fixed.get(condition.keys)
        if other is None or condition.holds_for(other.constant):
            return None
        return other, condition
    if condition.word == "or":
        clashes = [_clash(each, fixed) for each in condition.conditions]
        return clashes[0] if all(clashes) else None
    together = {**fixed}
    for each in condition.conditions:
        if isinstance(each, Comparison) and each.operator == "=":
            together.setdefault(each.keys, each)
    found = (_clash(each, together) for each in condition.conditions)
    return next(filter(None, found), None)


def misfits(action: str, schema: Schema, fields: Mapping[str, object]) -> Iterator[InvalidMapping]:
    """Yield each field whose value can be sent of no event: `metadata: gold`.

    `fields` are in Segment's form.
    """
    for name, written in fields.items():
        value = _example(written)
        if value is MISSING or name not in schema.fields:
            continue
        others = [each for each in schema.fields if each != name]
        about = schema.fields[name].metadata
        complaint = None
        if wrong := schema.validate({name: value}, partial=others).get(name):
            complaint = _complaint(action, name, written, value, wrong)
        elif about.get("names_customer") and _is_constant(written):
            complaint = f'{name} would be "{value}" for everybody: all are one customer then'
        if complaint:
            default = about.get("default")
            hint = f" Write {default}, for example." if isinstance(default, str) else ""
            yield InvalidMapping(f"{complaint}.{hint}", (name,))


def check_award_key(action: str, schema: Schema | None, written: object) -> None:
    """Raise InvalidMapping for an `award_key` that names nothing, or names all awards alike."""
    if schema is not None and not getattr(schema, "awards", False):
        raise InvalidMapping(f"{action} awards nothing, so it has no award_key. Take it out.")
    instead = "Write $.properties.order_id, for example, or take it out."
    if written in (None, "", {}, []):
        raise InvalidMapping(f"award_key names nothing. {instead}")
    if all(_is_constant(found) for found, _ in walk(written) if is_directive(found)):
        words = "award_key is the same for every event: only one would ever be awarded."
        raise InvalidMapping(f"{words} {instead}")


def _complaint(action: str, name: str, written: object, value: object, wrong: list[str]) -> str:
    if value in ("", None):
        shown = "null" if value is None else "an empty text"
        return f"{action} needs the field {name}, and {shown} is not sent"
    problem = f"{name} {' and '.join(wrong)}"
    if value is written:
        return f"{problem}, not {kind(value)}"
    directive, _ = parted(written)
    return f"{problem}, and {directive.name if directive else written} makes {kind(value)}"


def _is_constant(written: object) -> bool:
    directive, _ = parted(written)
    return not is_directive(written) or (directive is not None and directive.literal)


def _example(value: object) -> object:
    """What a value makes of every event, or MISSING where that depends on the event."""
    directive, argument = parted(value)
    if directive is None:
        return MISSING if is_directive(value) else value
    return _example(argument) if directive.literal else directive.makes
