"""A mapping says what is sent of an event: compiled when it loads, run on every event."""

import math
from collections.abc import Callable

from destination.errors import InvalidMapping, MappingFailed
from destination.mapping.arguments import (
    NOTES,
    Argument,
    Compile,
    ErrorCollector,
    Resolve,
    compile_entries,
    compile_root,
    is_directive,
    with_places,
)
from destination.mapping.bounds import Where, check_size, metered, spend_on, walk
from destination.mapping.directives import DIRECTIVES
from destination.mapping.directives.base import Cost
from destination.mapping.paths import MISSING
from destination.support.text import did_you_mean, kind

#: Directives that may each send the whole event. With more, the payload is counted as a whole.
_FEW = 30


def compile_mapping(mapping: object) -> Callable[[object], object]:
    """Compile a mapping in Segment's form: constants, objects, lists and directives.

    Returns the function from an event (an object, as JSON has it) to the payload, or to
    MISSING where the whole mapping finds nothing. It changes neither event nor mapping, may be
    called by many threads, and raises MappingFailed for an event that it cannot work with. The
    payload may share parts with the event.

    Raises InvalidMapping at the first fault, with its place in `where` and the other faults in
    `every`.
    """
    check_size(mapping)
    resolve = compile_root(mapping, (), compile_value)

    def run(event: object) -> object:
        if not isinstance(event, dict):
            raise MappingFailed(f"an event is an object, not {kind(event)}")
        return resolve(event)

    used = [key for found, _ in walk(mapping) if is_directive(found) for key in found]
    costs = {_cost(key) for key in used}
    if len(used) > _FEW or Cost.THE_PAYLOAD in costs:
        return metered(lambda event: _counted(run(event)))
    return metered(run) if Cost.ITS_OUTPUT in costs else run


def _cost(key: object) -> Cost:
    directive = DIRECTIVES.get(str(key))
    return directive.cost if directive else Cost.NOTHING


def _counted(payload: object) -> object:
    spend_on(payload)
    return payload


def transform(mapping: object, event: object) -> object:
    """Compile a mapping and run it on one event: for trying things out. See compile_mapping."""
    return compile_mapping(mapping)(event)


def compile_value(found: object, where: Where, inner: Compile | None = None) -> Resolve:
    """Compile a value of a mapping: a constant, an object, a list or a directive.

    `inner` compiles the values inside it. It is this function, unless explaining gives one that
    watches them at work.

    Raises InvalidMapping at the first fault, with the others behind it.
    """
    inner = inner or compile_value
    match found:
        case dict() if is_directive(found):
            return _compile_directive(found, where, inner)
        case dict():
            return _compile_object(found, where, inner)
        case list():
            return _compile_list(found, where, inner)
        case None | bool() | str() | int():
            return lambda _: found
        case float() if math.isfinite(found):
            return lambda _: found
    raise InvalidMapping(
        f"{found!r:.40} is no text, number, true, false, null, list or object. "
        "Write it in quotes to send it as a text",
        where,
    )


def _compile_object(found: dict[object, object], where: Where, inner: Compile) -> Resolve:
    entries = compile_entries(found, where, inner)

    def build(payload: object) -> dict[str, object]:
        built = {}
        for key, resolve in entries:
            made = resolve(payload)
            if made is not MISSING:
                built[key] = made
        return built

    return build


def _compile_list(found: list[object], where: Where, inner: Compile) -> Resolve:
    items = []
    errors = ErrorCollector()
    for index, item in enumerate(found):
        with errors.collected():
            items.append(inner(item, (*where, index)))
    errors.check()

    def build(payload: object) -> list[object]:
        made = [resolve(payload) for resolve in items]
        return with_places(made)

    return build


def _compile_directive(found: dict[str, object], where: Where, inner: Compile) -> Resolve:
    name, *others = (key for key in found if key != NOTES)
    if isinstance(name, str) and name.startswith("@"):
        if name not in DIRECTIVES:
            hint = did_you_mean(name, DIRECTIVES)
            raise InvalidMapping(f"unknown directive {name}. {hint}", (*where, name))
        odd = others[0] if others else None
    else:
        odd = next(key for key in others if isinstance(key, str) and key.startswith("@"))
    if odd is not None:
        raise InvalidMapping(
            f'"{odd}" stands beside "{name}", and a directive stands alone in its object. '
            "Give one of them an object of its own",
            (*where, str(odd)),
        )
    directive = DIRECTIVES[name]
    argument = Argument(
        directive=name,
        shape=directive.shape,
        value=found[name],
        where=(*where, name),
        compile=inner,
    )
    return directive.compile(argument)
