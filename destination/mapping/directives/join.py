"""`@join` puts texts together with a separator between them, such as a first and a last name.

Numbers, true and false are made texts first, and a list brings its items. What is missing, null,
empty or an object is left out, and its separator too. Where nothing is left, the whole is missing.
"""

from collections.abc import Iterator

from destination.mapping.argument_types import (
    DIRECTIVE_SCHEMA,
    PATH_PATTERN,
    VALUE_SCHEMA,
    AnyValue,
    Field,
    Fields,
    FixedText,
    JsonSchema,
    ListOf,
    Values,
)
from destination.mapping.arguments import Argument, Resolve, is_directive
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive
from destination.mapping.paths import MISSING
from destination.mapping.stringify import as_text

#: Characters of a separator.
LONGEST_SEPARATOR = 100


class ValueList(ListOf[Resolve]):
    """A list of values, or a directive that makes one: `["$.first", "$.last"]`, `"$.tags"`."""

    def read(self, argument: Argument) -> list[Resolve]:
        if is_directive(argument.value):
            return [self.item.read(argument)]
        if argument.value == []:
            raise argument.fault("a list of values belongs here, not an empty one")
        return super().read(argument)

    def schema(self) -> JsonSchema:
        listed = {"type": ["array", "string"], "minItems": 1, "pattern": PATH_PATTERN}
        return {
            "if": {"type": "object"},
            "then": DIRECTIVE_SCHEMA,
            "else": {"allOf": [VALUE_SCHEMA, listed]},
        }


VALUES = Field("values", ValueList(AnyValue(), "values"))
SEPARATOR = Field("separator", FixedText(0, LONGEST_SEPARATOR), default=" ")


def _build(values: Values) -> Resolve:
    resolves, separator = values[VALUES], values[SEPARATOR]

    def run(payload: object) -> object:
        texts = []
        for resolve in resolves:
            for text in _texts(resolve(payload)):
                spend(len(text) + len(separator))
                texts.append(text)
        return separator.join(texts) if texts else MISSING

    return run


def _texts(found: object) -> Iterator[str]:
    """What a value adds: itself or each of its items, as a text that is not empty."""
    for each in found if isinstance(found, list) else [found]:
        text = as_text(each) if isinstance(each, str | bool | int | float) else ""
        if text:
            yield text


JOIN = Directive(
    name="@join",
    shape='{"@join": {"values": [{"@path": "$.first"}, {"@path": "$.last"}], "separator": " "}}',
    order=250,
    takes=Fields(VALUES, SEPARATOR),
    build=_build,
    ours=True,
    makes="text",
)
