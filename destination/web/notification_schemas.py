"""The shapes of the subscribers' API: what a request may say, and what an answer says.

An error's message begins with its code: those of Capillary where it documents one, else 400.
"""

import math
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from destination.partners.webhook.destination import METHODS, problem_of_header
from destination.store.queries.rows import AccountRow, LogRow
from destination.support.json_codec import Json, is_unicode, moment
from destination.support.text import listed

#: The largest whole number that every database keeps.
_LARGEST = 2**31 - 1

#: Names, and event names of one account, at most.
_LONGEST_NAME = 200
_MOST_NAMES = 500


class AccountText(fields.Field[str]):
    """A line of text."""

    def _deserialize(self, value: object, attr: str | None, *_: object, **__: object) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= _LONGEST_NAME:
            raise ValidationError(f"400: {attr} must be a text of 1 to {_LONGEST_NAME} characters")
        if not value.isprintable() or not is_unicode(value):
            raise ValidationError(f"400: {attr} must be one line of text")
        return value


class Address(fields.Field[str]):
    """A URL, which is looked at where it is used."""

    def _deserialize(self, value: object, attr: str | None, *_: object, **__: object) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"400: {attr} must be a text")
        return value


class Switch(fields.Field[bool]):
    """true or false."""

    def _deserialize(self, value: object, attr: str | None, *_: object, **__: object) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"400: {attr} must be true or false")
        return value


class Whole(fields.Field[int]):
    """A number; its fraction is cut off, as Capillary does: 10.99 is 10."""

    def __init__(self, *, code: int, **options: Any) -> None:  # marshmallow's own options
        super().__init__(**options)
        self._code = code

    def _deserialize(self, value: object, attr: str | None, *_: object, **__: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError(f"400: {attr} must be a number")
        if value > _LARGEST:
            raise ValidationError(f"400: {attr} must be at most {_LARGEST}")
        if math.trunc(value) <= 0:
            raise ValidationError(f"{self._code}: {attr} must be greater than zero")
        return math.trunc(value)


class Names(fields.Field[list[str]]):
    """The names of events, each once."""

    def _deserialize(self, value: object, attr: str | None, *_: object, **__: object) -> list[str]:
        if value == []:
            raise ValidationError(f"51003: {attr} can not be null: name one event at least")
        if not isinstance(value, list) or len(value) > _MOST_NAMES:
            raise ValidationError(f"400: {attr} must be a list of at most {_MOST_NAMES} names")
        name = AccountText(required=True, error_messages=_error_messages(str(attr)))
        return list(dict.fromkeys(str(name.deserialize(each, attr)) for each in value))


class Headers(fields.Field[dict[str, str]]):
    """Headers: an object of texts."""

    def _deserialize(
        self, value: object, attr: str | None, *_: object, **__: object
    ) -> dict[str, str]:
        if not isinstance(value, dict) or len(value) > 50:
            raise ValidationError(f"400: {attr} must be an object of at most 50 headers")
        for name, text in value.items():
            if not isinstance(text, str):
                raise ValidationError(f"400: {attr} must hold texts")
            if problem := problem_of_header(name, text):
                raise ValidationError(f"400: {attr}: {problem}")
        if len({name.lower() for name in value}) < len(value):
            raise ValidationError(f"400: {attr} names a header twice")
        return value


def _error_messages(name: str, null: int = 400) -> dict[str, Any]:  # the type is marshmallow's
    return {
        "required": f"300004: {name} is missing",
        "null": f"{null}: {name} can not be null",
    }


def _one_of(name: str, choices: tuple[str, ...]) -> validate.OneOf:
    return validate.OneOf(choices, error=f"400: {name} must be {listed(choices, 'or')}")


class WebHookRequest(Schema):
    """What makes or changes an account."""

    class Meta:
        unknown = EXCLUDE  # noOfRetryAttempts and other fields that Capillary only answers

    error_messages = {"type": "400: the body must be an object"}  # noqa: RUF012

    name = AccountText(
        required=True,
        error_messages=_error_messages("name"),
        metadata={"description": "Unique among the accounts.", "type": "string"},
    )
    webHookUrl = Address(  # noqa: N815
        required=True,
        attribute="url",
        error_messages=_error_messages("webHookUrl"),
        metadata={"description": "Where it is told: an https:// URL.", "type": "string"},
    )
    eventNames = Names(  # noqa: N815
        required=True,
        attribute="event_names",
        error_messages={
            **_error_messages("eventNames", 51003),
            "required": "51003: eventNames is missing",
        },
        metadata={
            "description": "What it is told. A PUT replaces them all.",
            "type": "array",
            "items": {"type": "string"},
        },
    )
    maxAllowedConnections = Whole(  # noqa: N815
        code=51007,
        required=True,
        attribute="connections",
        error_messages=_error_messages("maxAllowedConnections", 300004),
        metadata={
            "description": "Requests under way to it at once. 10.99 is 10.",
            "type": "number",
        },
    )
    active = Switch(
        error_messages=_error_messages("active"),
        metadata={"description": "Whether it is told; true if left out.", "type": "boolean"},
    )
    methodType = AccountText(  # noqa: N815
        attribute="method",
        validate=_one_of("methodType", METHODS),
        error_messages=_error_messages("methodType"),
        metadata={"description": "POST if left out.", "type": "string", "enum": list(METHODS)},
    )
    slaInSeconds = Whole(  # noqa: N815
        code=400,
        allow_none=True,
        attribute="sla",
        metadata={
            "description": "A notification that takes longer is marked in its log.",
            "type": "number",
        },
    )
    webHookHeaders = Headers(  # noqa: N815
        attribute="headers",
        error_messages=_error_messages("webHookHeaders"),
        metadata={
            "description": "What every notification carries.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
    )
    webHookType = AccountText(  # noqa: N815
        load_only=True,
        validate=_one_of("webHookType", ("HTTP",)),
        error_messages=_error_messages("webHookType"),
        metadata={"type": "string", "enum": ["HTTP"]},
    )


def errors(problem: ValidationError) -> list[Json]:
    """`[{"code", "message"}]`, one for each field."""
    found = [message for each in problem.messages_dict.values() for message in each]
    return [
        {"code": int(code), "message": f"{message}."}
        for code, _, message in (text.partition(": ") for text in found)
    ]


def web_hook(row: AccountRow) -> Json:
    """An account, as Capillary shows one."""
    return {
        "attribution": {
            "createdOn": _moment(row["created_at"]),
            "lastUpdatedOn": _moment(row["updated_at"]),
            "lastUpdatedBy": _user(row["updated_by"]),
            "createdBy": _user(row["created_by"]),
        },
        "webHookId": row["id"],
        "name": row["name"],
        "eventNames": list(row["event_names"]),
        "webHookUrl": row["url"],
        "webHookType": "HTTP",
        "methodType": row["method"],
        "webHookHeaders": {**row["headers"]},
        "noOfRetryAttempts": 0,
        "maxAllowedConnections": row["connections"],
        "active": row["active"],
        "slaInSeconds": row["sla"],
        "consumerGroupId": row["consumer_group"],
    }


def event_log(row: LogRow) -> Json:
    """What became of a notification, as Capillary shows it."""
    ended = row["settled_at"] or row["ended_at"]
    due = None if row["sla"] is None else row["received_at"] + row["sla"]
    late = due is not None and (ended or row["now"]) > due
    return {
        "refId": row["ref_id"],
        "requestId": row["request_id"],
        "eventName": row["name"],
        "eventId": row["id"],
        "consumerGroupId": row["consumer_group"],
        "eventIngestionTimestamp": _moment(row["received_at"]),
        "eventStartTimestamp": _moment(row["first_started_at"]),
        "eventEndTimestamp": _moment(ended),
        "slaBreachTimestamp": _moment(due) if late else None,
        "consumerResponse": _consumer_response(row),
    }


def _consumer_response(row: LogRow) -> Json:
    """The last attempt's answer, whose numbers are floats; None while there is none."""
    began, ended, status = row["started_at"], row["ended_at"], row["http_status"]
    if began is None or ended is None:
        return None
    return {
        "webhookHttpStatus": None if status is None else float(status),
        "time_taken": float(round((ended - began) * 1000)),
    }


def _user(name: str) -> Json:
    return {"id": 1, "code": name, "description": "", "name": name, "type": "TILL"}


def _moment(seconds: float | None) -> str | None:
    """`2026-04-23T11:10:51.351+0000`."""
    return None if seconds is None else moment(seconds).replace("Z", "+0000")
