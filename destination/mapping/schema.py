"""The JSON Schema of a mapping file, by which editors complete and check what is typed.

It is made of what the service itself checks by: the actions' fields, the directives and what
they read of their arguments. An editor sees less than lint: it knows no trigger and no path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema
from marshmallow.fields import Field

from destination.errors import InvalidMapping
from destination.mapping.arguments import (
    NOTES,
    Argument,
    Choice,
    Reader,
    Text,
    Whole,
    flag,
    number,
    text_or_directive,
    value,
)
from destination.mapping.directives import DIRECTIVES, Directive, compile_value
from destination.mapping.directives.liquid import LONGEST_PROGRAM
from destination.mapping.directives.template import LONGEST_TEMPLATE
from destination.mapping.files import SCHEMA, Actions
from destination.mapping.paths import LONGEST_PATH

#: VS Code's YAML extension reads this draft in full, and newer ones in part.
DRAFT = "http://json-schema.org/draft-07/schema#"

_VALUE = {"$ref": "#/definitions/value"}
_DIRECTIVE = {"$ref": "#/definitions/directive"}

#: A text for which a path stands: anything but `$.` would be a constant.
_PATH = r"^\$\."
_OBJECT = {"allOf": [_VALUE, {"type": ["object", "string"], "pattern": _PATH}]}

_READERS: dict[Reader, dict[str, Any]] = {
    value: _VALUE,
    text_or_directive: {"if": {"type": "object"}, "then": _DIRECTIVE, "else": {"type": "string"}},
    flag: {"type": "boolean"},
    number: {"type": "number"},
}


def _text_of(longest: int) -> dict[str, Any]:
    short = {"type": "string", "maxLength": longest}
    return {"if": {"type": "object"}, "then": _DIRECTIVE, "else": short}


#: The arguments that are no objects with fields.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "@path": _text_of(LONGEST_PATH),
    "@template": _text_of(LONGEST_TEMPLATE),
    "@literal": _VALUE,
    "@arrayPath": {
        "type": "array",
        "items": [_text_of(LONGEST_PATH), _OBJECT],
        "minItems": 1,
        "maxItems": 2,
    },
    "@excludeWhenNull": _VALUE,
    "@liquid": {"type": "string", "maxLength": LONGEST_PROGRAM},
}

#: Fields of an argument whose readers say less than they take.
_FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("@merge", "objects"): {"type": "array", "items": _OBJECT},
    ("@transform", "apply"): _OBJECT,
    ("@transform", "mapping"): _OBJECT,
}


def schema_of(actions: Actions) -> dict[str, Any]:
    """The schema of a mapping file that names one of these actions."""
    fields: dict[str, list[dict[str, Any]]] = {}
    for known in actions.values():
        for action, schema in known.items():
            fields.setdefault(action, []).append(_fields(schema))
    top = {key: dict(rule) for key, rule in SCHEMA["properties"].items()}
    for key, text in _KEYS.items():
        top[key]["description"] = text
    top["action"]["enum"] = sorted(fields)
    top["award_key"]["allOf"] = [_VALUE]
    return {
        "$schema": DRAFT,
        "title": "Mapping",
        "description": "Which events are sent, and what of them: one mapping a file.",
        **SCHEMA,
        "properties": top,
        "allOf": [
            {
                "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
                "then": {"properties": {"fields": each[0] if len(each) == 1 else {"anyOf": each}}},
            }
            for action, each in sorted(fields.items())
        ],
        "definitions": {"value": _value(), "directive": _directive()},
    }


#: What an editor says of a file's keys.
_KEYS = {
    "name": "What you call the mapping. No two of one destination may have the same name.",
    "description": "A note for your colleagues.",
    "enabled": "false switches the mapping off. Without this line it is on.",
    "action": "What the engine is to do.",
    "trigger": 'On which events the mapping fires: type = "track" and event = "Order Completed".',
    "max_age": "How old an event may be: 12h, 7d. Without this line its age does not matter.",
    "award_key": "What an award is known by: $.properties.order_id. The same is awarded once.",
    "fields": "What is sent.",
}


def _fields(schema: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name, field in schema.fields.items() if field.required],
        "properties": {name: _field(schema, name, field) for name, field in schema.fields.items()},
        "additionalProperties": False,
    }


#: A value of each type that JSON has.
_SAMPLES = {
    "string": "text",
    "number": 1,
    "boolean": True,
    "null": None,
    "array": [],
    "object": {},
}

#: An object that is a directive.
_DIRECTIVE_ALONE = {"propertyNames": {"pattern": f"^(@|{NOTES}$)"}, "minProperties": 1}


def _field(schema: Schema, name: str, field: Field[Any]) -> dict[str, Any]:
    """What may stand in a field: the constants that it takes, a path, or a directive."""
    others = [each for each in schema.fields if each != name]
    taken = [
        kind
        for kind, sample in _SAMPLES.items()
        if name not in schema.validate({name: sample}, partial=others)
    ]
    rule: dict[str, Any] = {"type": [*{"string": 0, **dict.fromkeys(taken), "object": 0}]}
    if "string" not in taken:
        rule["pattern"] = _PATH
    elif field.required:
        rule["minLength"] = 1
    if "object" not in taken:
        rule |= _DIRECTIVE_ALONE
    told = {"label": "title", "description": "description", "default": "default"}
    shown = {told[key]: text for key, text in field.metadata.items() if key in told}
    return {**shown, "allOf": [_VALUE, rule]}


def _value() -> dict[str, Any]:
    """Whatever may stand in a mapping. One schema for all types: an editor then offers every
    directive in every place, and its complaints name the key that is wrong.
    """
    known = "|".join(name.removeprefix("@") for name in DIRECTIVES)
    alone = [{"maxProperties": 1}, {"maxProperties": 2, "required": [NOTES]}]
    return {
        "type": list(_SAMPLES),
        "items": _VALUE,
        "properties": {name: _argument(name, each) for name, each in DIRECTIVES.items()},
        "patternProperties": {f"^@(?!({known})$)": False},
        "additionalProperties": _VALUE,
        "if": {"propertyNames": {"pattern": "^[^@]|^$"}},
        "else": {**_DIRECTIVE_ALONE, "anyOf": alone},
    }


def _directive() -> dict[str, Any]:
    return {"allOf": [_VALUE, {"type": "object", **_DIRECTIVE_ALONE}]}


class _AskedError(Exception):
    """What a directive reads of its argument."""

    def __init__(self, required: Mapping[str, Reader], optional: Mapping[str, Reader]) -> None:
        super().__init__()
        self.required = required
        self.optional = optional


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asking(Argument):
    """An argument that asks the directive for its fields, and has none."""

    def fields(
        self, required: Mapping[str, Reader], optional: Mapping[str, Reader]
    ) -> dict[str, Any]:
        raise _AskedError(required, optional)


def _argument(name: str, directive: Directive) -> dict[str, Any]:
    asking = _Asking(
        directive=name, shape=directive.shape, value={}, where=(), compile=compile_value
    )
    argument = _ARGUMENTS.get(name, _VALUE)
    try:
        directive.compile(asking)
    except _AskedError as asked:
        readers = {**asked.required, **asked.optional}
        argument = {
            "type": "object",
            "required": list(asked.required),
            "properties": {
                **{key: _FIELDS.get((name, key)) or _read(each) for key, each in readers.items()},
                NOTES: {},
            },
            "additionalProperties": False,
        }
    except InvalidMapping:
        pass  # it takes no object
    return {"description": directive.shape, "allOf": [argument, *_BESIDE.get(name, ())]}


#: What holds of an argument beside its fields.
_BESIDE = {"@if": [{"anyOf": [{"required": ["exists"]}, {"required": ["blank"]}]}]}


def _read(reader: Reader) -> dict[str, Any]:
    match reader:
        case Text(shortest, longest):
            return {"type": "string", "minLength": shortest, "maxLength": longest}
        case Choice(words):
            return {"enum": list(words)}
        case Whole(least, most):
            return {"type": "integer", "minimum": least, "maximum": most}
    return _READERS.get(reader, _VALUE)
