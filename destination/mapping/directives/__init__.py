"""A directive is one instruction in a mapping's field: `{"@path": "$.traits.email"}`."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from destination.errors import InvalidMapping
from destination.mapping.arguments import (
    NOTES,
    Argument,
    Compile,
    Faults,
    Resolve,
    compile_entries,
    compile_text,
    is_directive,
    text_or_directive,
    value,
)
from destination.mapping.bounds import Where, spend
from destination.mapping.directives.liquid import compile_liquid
from destination.mapping.directives.template import compile_template
from destination.mapping.ours import hash_text, omit, to_boolean, to_number
from destination.mapping.paths import LONGEST_PATH, MISSING, parse_path, reader
from destination.mapping.rewriting import (
    change_case,
    decode_or_encode,
    exclude_null,
    flatten,
    merge,
    replace_text,
)
from destination.support.text import did_you_mean, kind

#: Segment's mappings may hold one directive that is applied before all fields.
_BEFORE_ALL = "__segment_internal_directive"


def compile_root(mapping: Any, where: Where = (), inner: Compile | None = None) -> Resolve:
    """Compile a whole mapping, or what `@transform` applies first; `inner` as in compile_value.

    Raises InvalidMapping at the first fault.
    """
    inner = inner or compile_value
    if not (isinstance(mapping, dict) and _BEFORE_ALL in mapping):
        return inner(mapping, where)
    match mapping[_BEFORE_ALL]:
        case {"@transform": {"apply": dict(apply)}}:
            first = compile_root(apply, (*where, _BEFORE_ALL, "@transform", "apply"), inner)
        case _:
            raise InvalidMapping(
                f'{_BEFORE_ALL} takes {{"@transform": {{"apply": {{…}}}}}}', (*where, _BEFORE_ALL)
            )
    fields = {key: field for key, field in mapping.items() if key != _BEFORE_ALL}
    then = inner(fields, where)
    return lambda payload: then(first(payload))


def compile_value(found: Any, where: Where, inner: Compile | None = None) -> Resolve:
    """Compile whatever may stand in a mapping, and what stands inside it by `inner`: by itself,
    unless somebody wants to watch the parts at work.

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


def _compile_object(found: dict[Any, Any], where: Where, inner: Compile) -> Resolve:
    entries = compile_entries(found, where, inner)

    def build(payload: Any) -> dict[str, Any]:
        built = {}
        for key, resolve in entries:
            made = resolve(payload)
            if made is not MISSING:
                built[key] = made
        return built

    return build


def _compile_list(found: list[Any], where: Where, inner: Compile) -> Resolve:
    items = []
    faults = Faults()
    for index, item in enumerate(found):
        with faults.gathered():
            items.append(inner(item, (*where, index)))
    faults.check()

    def build(payload: Any) -> list[Any]:
        made = [resolve(payload) for resolve in items]
        return _with_places(made)

    return build


def _with_places(made: list[Any]) -> list[Any]:
    """A missing item is null, so that those behind it keep their places: as Segment sends it."""
    return [None if item is MISSING else item for item in made]


def _compile_directive(found: dict[Any, Any], where: Where, inner: Compile) -> Resolve:
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


def _path(argument: Argument) -> Resolve:
    return compile_text(argument, _read_path)


def _read_path(text: str) -> Resolve:
    if len(text) > LONGEST_PATH:
        raise ValueError(f"a path has at most {LONGEST_PATH:,} characters")
    return reader(parse_path(text.removeprefix("$.")))


def _template(argument: Argument) -> Resolve:
    return compile_text(argument, compile_template)


def _if(argument: Argument) -> Resolve:
    """`exists` asks for a value that is not null; `blank`, despite its name, for one to be there.

    In Segment's mapping kit `blank` takes `then` when the value is *not* blank, and people rely
    on it: 0, false, empty texts and empty lists count as blank beside null.
    """
    fields = argument.fields({}, {"exists": _test, "blank": _test, "then": value, "else": value})
    then = fields.get("then", _nothing)
    otherwise = fields.get("else", _nothing)
    if "exists" in fields:
        exists = fields["exists"]

        def choose(payload: Any) -> Any:
            found = exists(payload)
            there = found is not None and found is not MISSING
            return then(payload) if there else otherwise(payload)

        return choose
    if "blank" in fields:
        tested = fields["blank"]
        return lambda payload: (otherwise if _is_blank(tested(payload)) else then)(payload)
    raise argument.fault('@if needs "exists" or "blank"')


def _nothing(_: Any) -> Any:
    return MISSING


def _test(argument: Argument) -> Resolve:
    if argument.value in (None, False, ""):
        raise argument.fault("the same for every event, and an @if asks the event")
    return value(argument)


def _is_blank(found: Any) -> bool:
    if isinstance(found, list):
        while isinstance(found, list) and len(found) == 1:
            (found,) = found
        return found is None or found in ("", [])
    return not found and not isinstance(found, dict)


def _literal(argument: Argument) -> Resolve:
    return value(argument)


def _array_path(argument: Argument) -> Resolve:
    if not isinstance(argument.value, list):
        raise argument.fault(f"@arrayPath takes a list, not {kind(argument.value)}")
    if not 1 <= len(argument.value) <= 2:
        raise argument.fault("@arrayPath takes a path and, if wanted, the shape of an item")
    faults = Faults()
    with faults.gathered():
        first = argument.inner(0)
        root = _path(first) if isinstance(first.value, str) else text_or_directive(first)
    if len(argument.value) == 1 or argument.value[1] in (None, {}):
        faults.check()
        return root
    with faults.gathered():
        shape = argument.inner(1)
        if not isinstance(shape.value, dict):
            raise shape.fault(f"the shape of an item is an object, not {kind(shape.value)}")
        item = value(shape)
    faults.check()

    def shape_items(payload: Any) -> Any:
        found = root(payload)
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            return found
        spend(len(found))
        return _with_places([item(each) for each in found])

    return shape_items


def _transform(argument: Argument) -> Resolve:
    fields = argument.fields({"apply": _fields, "mapping": _fields}, {})
    apply, mapping = fields["apply"], fields["mapping"]
    return lambda payload: mapping(apply(payload))


def _fields(argument: Argument) -> Resolve:
    if not isinstance(argument.value, dict):
        raise argument.fault(f"an object belongs here, not {kind(argument.value)}")
    return compile_root(argument.value, argument.where, argument.compile)


class Directive(NamedTuple):
    """A directive by its name: how it is compiled, and how it is written."""

    compile: Callable[[Argument], Resolve]
    shape: str
    #: Not Segment's: a mapping that uses it works here, and cannot be copied back.
    ours: bool = False


DIRECTIVES = {
    "@path": Directive(_path, '{"@path": "$.traits.email"}'),
    "@template": Directive(_template, '{"@template": "Hi {{traits.name}}"}'),
    "@literal": Directive(_literal, '{"@literal": "$.sent as it stands"}'),
    "@if": Directive(_if, '{"@if": {"exists": {"@path": "$.event"}, "then": …, "else": …}}'),
    "@case": Directive(change_case, '{"@case": {"operator": "lower", "value": …}}'),
    "@replace": Directive(
        replace_text, '{"@replace": {"value": …, "pattern": "-", "replacement": " "}}'
    ),
    "@arrayPath": Directive(
        _array_path,
        '{"@arrayPath": ["$.properties.products", {"sku": {"@path": "$.sku"}}]}',
    ),
    "@json": Directive(decode_or_encode, '{"@json": {"mode": "encode", "value": …}}'),
    "@flatten": Directive(flatten, '{"@flatten": {"value": …, "separator": "_"}}'),
    "@merge": Directive(merge, '{"@merge": {"objects": [{…}, {…}], "direction": "right"}}'),
    "@transform": Directive(_transform, '{"@transform": {"apply": {…}, "mapping": {…}}}'),
    "@excludeWhenNull": Directive(
        exclude_null, '{"@excludeWhenNull": {"@path": "$.traits.email"}}'
    ),
    "@liquid": Directive(compile_liquid, '{"@liquid": "{{ traits.name | upcase }}"}'),
    "@hash": Directive(hash_text, '{"@hash": {"value": …, "normalize": true}}', ours=True),
    "@omit": Directive(omit, '{"@omit": {"value": …, "keys": ["email", "phone"]}}', ours=True),
    "@number": Directive(
        to_number, '{"@number": {"value": …, "times": 100, "decimals": 0}}', ours=True
    ),
    "@boolean": Directive(to_boolean, '{"@boolean": {"value": {"@path": "$.traits"}}}', ours=True),
}
