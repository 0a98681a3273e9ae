"""The catalogue of events that a subscriber can be told of, and the JSON Schema of each.

It is read from events.yaml: the API describes events by it, and a notification is checked by it.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import jsonschema
from ruamel.yaml import YAML

from destination.support.json_codec import Json

#: The draft that subscribers' tools know Capillary's schemas by.
_DRAFT = "http://json-schema.org/draft-04/schema#"

#: The types of the catalogue, as JSON Schema has them.
_TYPES: dict[str, Json] = {
    "any": {},
    "array": {"type": "array"},
    "boolean": {"type": "boolean"},
    "id": {"type": ["integer", "string"]},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "number-or-null": {"type": ["number", "null"]},
    "object": {"type": "object"},
    "string": {"type": "string"},
}

#: What every notification has, whatever it tells.
_ENVELOPE: dict[str, Json] = {
    "eventName": {"type": "string"},
    "eventId": {"type": "string"},
    "orgId": {"type": "integer"},
    "refId": {"type": "string"},
    "apiRequestId": {"type": "string"},
    "createdAt": {"type": "integer"},
}
_ALWAYS = [name for name in _ENVELOPE if name != "orgId"]

#: What stands around the data of a behaviour.
_BEHAVIOUR: dict[str, Json] = {
    "ingestionTimestamp": {"type": "integer"},
    "name": {"type": "string"},
    "description": {"type": "string"},
}


@dataclass(frozen=True, kw_only=True)
class CatalogueEvent:
    """One event of the catalogue."""

    name: str
    description: str
    #: Told as `{ingestionTimestamp, name, description, attributes}`, and not with `data`.
    behaviour: bool
    #: The JSON Schema of its data.
    data: dict[str, Json]

    @property
    def schema(self) -> dict[str, Json]:
        """The JSON Schema of its notifications."""
        if self.behaviour:
            required: list[Json] = [*_BEHAVIOUR, "attributes"]
            properties: dict[str, Json] = {**_BEHAVIOUR, "attributes": self.data, **_ENVELOPE}
        else:
            required = [*_ALWAYS, "data"]
            properties = {**_ENVELOPE, "data": self.data}
        return {
            "$schema": _DRAFT,
            "type": "object",
            "required": required,
            "properties": properties,
        }


@functools.cache
def catalogue() -> Mapping[str, CatalogueEvent]:
    """Every event of the catalogue, by name, in its order."""
    file = resources.files("destination.partners.webhook") / "events.yaml"
    parts: dict[str, dict[str, tuple[str, dict[str, str]]]] = YAML(typ="safe").load(
        file.read_text("utf-8")
    )
    return {
        name: CatalogueEvent(
            name=name,
            description=description,
            behaviour=part == "behaviours",
            data=_data_schema(data),
        )
        for part, events in parts.items()
        for name, (description, data) in events.items()
    }


def misfit(name: str, data: Json) -> str | None:
    """What of an event's data is not as the catalogue says, without showing it; None where all
    is, and for a name that the catalogue does not have.
    """
    if name not in catalogue():
        return None
    error = jsonschema.exceptions.best_match(_validator(name).iter_errors(data))
    if error is None:
        return None
    place = ".".join(map(str, ("data", *error.path)))
    if error.validator == "required":
        missing = [each for each in error.validator_value if each not in error.instance]
        return f"{place} lacks {' and '.join(missing)}"
    wanted = error.validator_value
    return f"{place} must be of type {' or '.join([wanted] if isinstance(wanted, str) else wanted)}"


@functools.cache
def _validator(name: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(catalogue()[name].data)


def _data_schema(data: Mapping[str, str]) -> dict[str, Json]:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {key: _TYPES[kind.removesuffix("!")] for key, kind in data.items()},
    }
    # Draft 4 knows no empty list of what is required.
    required: list[Json] = [key for key, kind in data.items() if kind.endswith("!")]
    return {**schema, "required": required} if required else schema
