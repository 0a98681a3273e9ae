"""`@template` writes a text with places that the event fills in: `Hi {{traits.name}}`."""

import re
from collections.abc import Callable, Iterator

from destination.mapping.argument_types import Expression
from destination.mapping.bounds import spend
from destination.mapping.directives.base import Directive, Traced, as_read
from destination.mapping.paths import LONGEST_PATH, Keys, parse_path, reader
from destination.mapping.stringify import as_text

#: Characters that a template may have.
LONGEST_TEMPLATE = 10_000

# A run of text up to the brackets that may close a place, and those brackets.
_CHUNK = re.compile(r"([^}]*)(\}*)")


def compile_template(text: str) -> Callable[[object], str]:
    """Return the function that fills in a template.

    `{{a.b}}` and `{{{a.b}}}` mean the same. null and missing values leave nothing behind.
    What a value brings in is not read again: `{{…}}` inside an event's data stays text.
    Raises ValueError, with a sentence for the author, if the template cannot be read.
    """
    if len(text) > LONGEST_TEMPLATE:
        raise ValueError(f"a template has at most {LONGEST_TEMPLATE:,} characters")
    parts = [
        part if place is None else reader(_keys(place)) for part, place in _divide(text) if part
    ]

    def fill(payload: object) -> str:
        pieces = [part if isinstance(part, str) else as_text(part(payload)) for part in parts]
        spend(sum(map(len, pieces)))
        return "".join(pieces)

    return fill


def has_places(text: str) -> bool:
    """Whether a text has at least one `{{place}}`."""
    return any(place is not None for _, place in _divide(text))


def places(text: str) -> list[str]:
    """The paths in a template's places, in their order: `traits.name` of `Hi {{traits.name}}`."""
    return [place.strip() for _, place in _divide(text) if place is not None]


def _paths(text: str) -> list[Keys]:
    return [_keys(place) for place in places(text)]


def _keys(place: str) -> Keys:
    path = place.strip()
    if not path:
        raise ValueError("{{ }} names no value. Write its path inside: {{traits.name}}")
    if path.startswith("$."):
        # To Segment's mapping kit this is a value named "$", which no event has.
        raise ValueError(f'inside {{{{ }}}} a path has no "$.": write {{{{{path[2:]}}}}}')
    if len(path) > LONGEST_PATH:
        raise ValueError(f"a path has at most {LONGEST_PATH:,} characters")
    return parse_path(path)


def _divide(text: str) -> Iterator[tuple[str, str | None]]:
    """Divide a template into texts, and places with the path inside them.

    A place begins at two or three brackets and ends at the next as many; brackets that do not
    pair off are text. One pass: the time is in proportion to the template.
    """
    for chunk in _CHUNK.finditer(text):
        before, closing = chunk.groups()
        start = before.find("{{{") if len(closing) > 2 else -1
        width = 3
        if start < 0 or not before[start + 3 :]:
            start = before.find("{{") if len(closing) > 1 else -1
            width = 2
        path = before[start + width :]
        if start < 0 or not path:
            yield before + closing, None
        else:
            yield before[:start], None
            yield before[start:] + closing[:width], path
            yield closing[width:], None


TEMPLATE = Directive(
    name="@template",
    shape='{"@template": "Hi {{traits.name}}"}',
    order=20,
    takes=Expression(longest=LONGEST_TEMPLATE, compile=compile_template, paths=_paths),
    build=as_read,
    makes="text",
    traced=Traced.BY_ITS_PLACES,
)
