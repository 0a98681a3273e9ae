"""The types that an action's field can have, coerced as Segment's own destinations coerce them.

An empty text counts as missing, and so does null where the field does not allow it; numbers and
booleans become text where text is wanted; fields that the action does not have are left out.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from destination.model.event import problem_of_id
from destination.support import json_codec
from destination.support.json_codec import Json

V = TypeVar("V")

#: What is said of a field, after its name. The type is marshmallow's.
_MESSAGES: dict[str, Any] = {"required": "is missing", "null": "must not be null"}


class ActionField(fields.Field[V]):
    """A field of an action. Pages, editors and commands show its label and its description."""

    default_error_messages = _MESSAGES

    #: Whether no constant can fill it, since all would be one customer.
    names_customer = False

    def __init__(
        self,
        label: str,
        description: str,
        *,
        default: Json,
        required: bool = False,
        allow_none: bool = False,
        validate: Callable[[V], None] | None = None,
    ) -> None:
        """`default` is the mapping value, in the shorthand of mapping files, that a preset begins
        with. `validate` raises ValidationError for a value that cannot be sent.
        """
        about = {"label": label, "description": description, "default": default}
        if self.names_customer:
            about["names_customer"] = True
        super().__init__(
            required=required, allow_none=allow_none, validate=validate, metadata=about
        )


class TextField(ActionField[str]):
    """Text. A number or a boolean is written as text: 12345 → "12345"."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        raise ValidationError("must be text")


class IdField(TextField):
    """Text or a number that names somebody or something."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValidationError("must be text or a number")
        if (problem := problem_of_id(text := str(value))) is not None:
            raise ValidationError(problem[1])
        return text


class CustomerField(IdField):
    """The id of the customer whom a delivery concerns: its lane is found by it."""

    names_customer = True

    def __init__(self, label: str, description: str, *, default: Json = "$.userId") -> None:
        super().__init__(label, description, default=default, required=True)


class TimeField(TextField):
    """A time in ISO 8601, in UTC where it names no zone: sent in UTC with milliseconds."""

    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        try:
            return json_codec.moment(json_codec.seconds(value))
        except ValueError as error:
            raise ValidationError("must be a time such as 2026-03-14T09:26:53Z") from error


class NumberField(ActionField[int | float]):
    """A number, or text that is one: "19.99" → 19.99."""

    def _deserialize(self, value: object, *_: object, **__: object) -> int | float:
        try:
            read = json_codec.loads(value.strip()) if isinstance(value, str) else value
        except ValueError:
            read = None
        if isinstance(read, bool) or not isinstance(read, int | float):
            raise ValidationError("must be a number")
        return read


class ObjectField(ActionField[dict[str, Json]]):
    """A JSON object, sent as it is."""

    def _deserialize(self, value: object, *_: object, **__: object) -> dict[str, Json]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        return value


class ActionFields(Schema):
    """The fields of an action: subclass it with one attribute a field, in the order to send.

    One of them is a CustomerField.
    """

    class Meta:
        unknown = EXCLUDE

    #: Whether sending a payload twice awards twice: then each award is sent once.
    awards = False

    error_messages = {"type": "must be an object"}  # noqa: RUF012

    @pre_load
    def _drop_empty(self, data: Json, **_: object) -> Json:
        if not isinstance(data, dict):
            return data
        return {
            name: value
            for name, value in data.items()
            if value != ""
            and (value is not None or (name in self.fields and self.fields[name].allow_none))
        }

    def payload(self, data: object) -> dict[str, Json]:
        """The fields, coerced and checked, in the order in which the mapping gave them.

        Raises ValidationError with `{field: [what is wrong]}`.
        """
        loaded: dict[str, Json] = self.load(cast(dict[str, Json], data))  # or it is refused
        return {name: loaded[name] for name in cast(dict[str, Json], data) if name in loaded}
