"""The types that an action's field can have, coerced as Segment's own destinations coerce them.

An empty text counts as missing, and so does null where the field does not allow it; numbers and
booleans become text where text is wanted; fields that the action does not have are left out.
"""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from destination.model.event import problem_of_id
from destination.support import json_codec
from destination.support.json_codec import Json

#: What is said of a field, after its name.
_MESSAGES: dict[str, Any] = {"required": "is missing", "null": "must not be null"}


class TextField(fields.Field[str | None]):
    """Text. A number or a boolean is written as text: 12345 → "12345"."""

    default_error_messages = _MESSAGES

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        raise ValidationError("must be text")


class IdField(TextField):
    """Text or a number that names somebody: a customer's lane is found by it."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValidationError("must be text or a number")
        if (problem := problem_of_id(text := str(value))) is not None:
            raise ValidationError(problem[1])
        return text


class TimeField(TextField):
    """A time in ISO 8601, in UTC where it names no zone: sent in UTC with milliseconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        try:
            return json_codec.moment(json_codec.seconds(value))
        except ValueError as error:
            raise ValidationError("must be a time such as 2026-03-14T09:26:53Z") from error


class NumberField(fields.Field[int | float]):
    """A number, or text that is one: "19.99" → 19.99."""

    default_error_messages = _MESSAGES

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int | float:
        try:
            read = json_codec.loads(value.strip()) if isinstance(value, str) else value
        except ValueError:
            read = None
        if isinstance(read, bool) or not isinstance(read, int | float):
            raise ValidationError("must be a number")
        return read


class ObjectField(fields.Field[dict[str, Json]]):
    """A JSON object, sent as it is."""

    default_error_messages = _MESSAGES

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Json]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        return value


class ActionFields(Schema):
    """The fields of an action: subclass it with one attribute a field, in the order to send.

    A field's `metadata` has its `label`, `description` and `default`: the mapping value, in
    the shorthand of mapping files, that a preset begins with. `names_customer` marks the field
    that no constant can fill.
    """

    class Meta:
        unknown = EXCLUDE

    #: Whether sending a payload twice awards twice: then each award is sent once.
    awards = False

    error_messages = {"type": "must be an object"}  # noqa: RUF012

    @pre_load
    def _drop_empty(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            name: value
            for name, value in data.items()
            if value != ""
            and (value is not None or (name in self.fields and self.fields[name].allow_none))
        }

    def payload(self, data: Json) -> dict[str, Json]:
        """The fields, coerced and checked, in the order in which the mapping gave them.

        Raises ValidationError with `{field: [what is wrong]}`.
        """
        loaded: dict[str, Json] = self.load(data)
        return {name: loaded[name] for name in data if name in loaded}
