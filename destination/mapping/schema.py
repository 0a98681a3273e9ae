"""The JSON Schema of a mapping file, by which editors complete and check what is typed.

It is made of what the service itself checks by: the actions' fields, the directives and what
they read of their arguments. An editor sees less than lint: it knows no trigger and no path.
"""

from typing import Any

from marshmallow import Schema
from marshmallow.fields import Field

from destination.mapping.argument_types import PATH_PATTERN, VALUE_SCHEMA, JsonSchema
from destination.mapping.arguments import NOTES
from destination.mapping.directives import DIRECTIVES
from destination.mapping.directives.base import Directive
from destination.mapping.files import SCHEMA, Actions

#: VS Code's YAML extension reads this draft in full, and newer ones in part.
DRAFT = "http://json-schema.org/draft-07/schema#"


def schema_of(actions: Actions) -> JsonSchema:
    """The schema of a mapping file that names one of these actions."""
    fields: dict[str, list[JsonSchema]] = {}
    for known in actions.values():
        for action, schema in known.items():
            fields.setdefault(action, []).append(_fields(schema))
    top = {key: dict(rule) for key, rule in SCHEMA["properties"].items()}
    for key, text in _KEYS.items():
        top[key]["description"] = text
    top["action"]["enum"] = sorted(fields)
    top["award_key"]["allOf"] = [VALUE_SCHEMA]
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


def _fields(schema: Schema) -> JsonSchema:
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


def _field(schema: Schema, name: str, field: Field[object]) -> JsonSchema:
    """What may stand in a field: the constants that it takes, a path, or a directive."""
    others = [each for each in schema.fields if each != name]
    taken = [
        kind
        for kind, sample in _SAMPLES.items()
        if name not in schema.validate({name: sample}, partial=others)
    ]
    rule: JsonSchema = {"type": [*{"string": 0, **dict.fromkeys(taken), "object": 0}]}
    if "string" not in taken:
        rule["pattern"] = PATH_PATTERN
    elif field.required:
        rule["minLength"] = 1
    if "object" not in taken:
        rule |= _DIRECTIVE_ALONE
    told = {"label": "title", "description": "description", "default": "default"}
    shown = {told[key]: text for key, text in field.metadata.items() if key in told}
    return {**shown, "allOf": [VALUE_SCHEMA, rule]}


def _value() -> JsonSchema:
    """Whatever may stand in a mapping. One schema for all types: an editor then offers every
    directive in every place, and its complaints name the key that is wrong.
    """
    known = "|".join(name.removeprefix("@") for name in DIRECTIVES)
    alone = [{"maxProperties": 1}, {"maxProperties": 2, "required": [NOTES]}]
    return {
        "type": list(_SAMPLES),
        "items": VALUE_SCHEMA,
        "properties": {name: _argument(each) for name, each in DIRECTIVES.items()},
        "patternProperties": {f"^@(?!({known})$)": False},
        "additionalProperties": VALUE_SCHEMA,
        "if": {"propertyNames": {"pattern": "^[^@]|^$"}},
        "else": {**_DIRECTIVE_ALONE, "anyOf": alone},
    }


def _directive() -> JsonSchema:
    return {"allOf": [VALUE_SCHEMA, {"type": "object", **_DIRECTIVE_ALONE}]}


def _argument(directive: Directive[Any]) -> JsonSchema:
    return {"description": directive.shape, "allOf": [directive.takes.schema()]}
