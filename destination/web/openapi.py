"""OpenAPI: every endpoint of the receiver, described by the app itself and by the schemas.

`/openapi.json` is for machines, `/openapi` is the same for people.
"""

import re
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, current_app, render_template
from flask.typing import ResponseReturnValue
from marshmallow import Schema
from werkzeug.routing import Rule

from destination import __version__
from destination.model import event
from destination.support.text import listed
from destination.web import openapi_schemas
from destination.web.notification_schemas import WebHookRequest

#: A part of the description: JSON, in which a schema may stand for its own description.
Part = dict[str, Any]

#: What an endpoint answers, by its name in the app: a schema, or a list of it; wrapped as
#: `{"data", "errors"}` below /v3. Endpoints that are not here answer some JSON.
_ANSWERS: dict[str, type[Schema] | list[type[Schema]]] = {
    "receive.webhook": openapi_schemas.Results,
    "receive.track": openapi_schemas.Results,
    "health.ready": openapi_schemas.Readiness,
    "notifications.add": openapi_schemas.WebHook,
    "notifications.list_all": [openapi_schemas.WebHook],
    "notifications.change": openapi_schemas.WebHook,
    "notifications.deactivate": openapi_schemas.WebHook,
    "notifications.secret": openapi_schemas.Secret,
    "notifications.rotate": openapi_schemas.Secret,
    "notifications.events": [openapi_schemas.EventName],
    "notifications.event": openapi_schemas.EventMetaData,
    "notifications.log_of": openapi_schemas.EventLog,
    "notifications.log_of_request": [openapi_schemas.EventLog],
    "notifications.log_of_reference": [openapi_schemas.EventLog],
}

#: What an endpoint is sent. A PUT changes what it mentions.
_BODIES: dict[str, type[Schema] | Schema] = {
    "receive.webhook": event.CallSchema,
    "receive.track": event.CallSchema,
    "notifications.add": WebHookRequest,
    "notifications.change": WebHookRequest(partial=True),
}

#: The types of a call's fields; what is of another type reads as none.
_KINDS = {
    event.Id: "string",
    event.CallText: "string",
    event.Time: "string",
    event.Object: "object",
}

_JSON = "application/json"

#: What is answered as something else.
_MEDIA = {"openapi.page": "text/html", "health.page": "text/plain"}

#: The sections of the description, by the room of their endpoints, in the order of the page.
_TAGS = {
    "receive": "Calls come in",
    "notifications": "Subscribers",
    "health": "How it stands",
    "openapi": "This description",
}

#: What is answered instead of 200, and when.
_FAILURES = {
    "400": "It cannot be taken as it stands.",
    "401": "Whoever asks does not show who they are.",
    "404": "There is no such thing.",
    "413": "It is too large.",
    "415": "Its encoding is not known.",
    "503": "It cannot be kept right now: send it again after Retry-After seconds.",
}

#: The values that a part of a path can have.
_CHOICES = {"kind": [*event.TYPES, "batch"]}


def blueprint() -> Blueprint:
    """`/openapi.json`, and `/openapi` for people."""
    views = Blueprint("openapi", __name__)

    @views.get("/openapi.json")
    def document() -> ResponseReturnValue:
        """This description, for machines."""
        return describe(current_app)

    @views.get("/openapi")
    def page() -> ResponseReturnValue:
        """This description, for people."""
        spec = describe(current_app)
        # Methods of one address that do the same stand together.
        sections: dict[str, dict[tuple[str, str], Part]] = {tag: {} for tag in _TAGS.values()}
        for path, operations in spec["paths"].items():
            for method, operation in operations.items():
                same = sections[operation["tags"][0]].setdefault(
                    (path, operation["summary"]), {"methods": [], "operation": operation}
                )
                same["methods"].append(method.upper())
        return render_template(
            "openapi.html",
            spec=spec,
            sections=sections,
            failures=_FAILURES,
            name_of=_shape_of,
            kind_of=_kind_of,
        )

    return views


def describe(app: Flask) -> Part:
    """The app's OpenAPI 3.1 document."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="Loyalty destination",
        version=__version__,
        openapi_version="3.1.0",
        plugins=[plugin],
    )
    for field, kind in _KINDS.items():
        plugin.map_to_openapi_type(field, kind, None)  # type: ignore[no-untyped-call]
    spec.components.security_scheme("basic", {"type": "http", "scheme": "basic"})
    for rule in sorted(app.url_map.iter_rules(), key=str):
        operations = {
            method.lower(): _operation(rule, app, method)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        }
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda part: f"{{{_camel(part[1])}}}", str(rule))
        spec.path(path=path, operations=operations)
    found: Part = spec.to_dict()
    return found


def _operation(rule: Rule, app: Flask, method: str) -> Part:
    view = app.view_functions[rule.endpoint]
    subscribers = str(rule).startswith("/v3/")
    told = {"200": ("As asked.", _answer(rule.endpoint, subscribers=subscribers))}
    failed = _failed(subscribers=subscribers)
    told |= {status: (words, failed) for status, words in _FAILURES.items()}
    found: Part = {
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "summary": _first_sentence(view.__doc__ or rule.endpoint),
        "tags": [_TAGS[rule.endpoint.partition(".")[0]]],
        "parameters": [_parameter(name) for name in sorted(rule.arguments)],
        "responses": {
            status: {
                "description": words,
                "content": {_media(rule.endpoint, status): {"schema": schema}},
            }
            for status, (words, schema) in told.items()
        },
    }
    if subscribers:
        found["security"] = [{"basic": []}]
    if body := _BODIES.get(rule.endpoint):
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return found


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.split()))[0]


def _parameter(name: str) -> Part:
    schema = {"type": "string", **({"enum": _CHOICES[name]} if name in _CHOICES else {})}
    return {"name": _camel(name), "in": "path", "required": True, "schema": schema}


def _camel(name: str) -> str:
    """`web_hook_id` → `webHookId`, as the rest of the API is spelt."""
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _media(endpoint: str, status: str) -> str:
    return _MEDIA.get(endpoint, _JSON) if status == "200" else _JSON


def _answer(endpoint: str, *, subscribers: bool) -> Part | type[Schema]:
    found: type[Schema] | list[type[Schema]] | Part = _ANSWERS.get(endpoint, {})
    schema = {"type": "array", "items": found[0]} if isinstance(found, list) else found
    if not subscribers:
        return schema
    return {
        "type": "object",
        "required": ["data", "errors"],
        "properties": {"data": schema, "errors": {"type": "null"}, "warnings": _errors()},
    }


def _failed(*, subscribers: bool) -> Part | type[Schema]:
    if not subscribers:
        return openapi_schemas.Message
    return {
        "type": "object",
        "required": ["data", "errors"],
        "properties": {"data": {"type": "null"}, "errors": _errors()},
    }


def _errors() -> Part:
    said = {"code": {"type": "integer"}, "message": {"type": "string"}}
    return {"type": "array", "items": {"type": "object", "properties": said}}


def _name(schema: object) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    part = "Change" if isinstance(schema, Schema) and schema.partial else ""
    return f"{kind.__name__.removesuffix('Schema')}{part}"


def _shape_of(part: Part) -> str:
    """The name of the shape that a request or an answer has; empty where it has none."""
    schema = next(iter(part["content"].values()))["schema"]
    schema = schema.get("properties", {}).get("data", schema)
    schema = schema.get("items", schema)
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind_of(about: Part) -> str:
    """A field's type, for people: `number or null`, `list of string`, `POST or PUT`."""
    if "$ref" in about:
        return str(about["$ref"]).rpartition("/")[2]
    if "anyOf" in about:
        return " or ".join(_kind_of(each) for each in about["anyOf"])
    if "enum" in about:
        return listed(about["enum"], "or")
    found = about.get("type", "any")
    if found == "array":
        return f"list of {_kind_of(about.get('items', {}))}"
    return " or ".join(dict.fromkeys([found] if isinstance(found, str) else found))
