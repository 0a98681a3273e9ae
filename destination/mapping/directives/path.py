"""`@path` takes a value from the event."""

from destination.mapping.argument_types import Expression
from destination.mapping.arguments import Resolve
from destination.mapping.directives.base import Cost, Directive, Traced, as_read
from destination.mapping.paths import LONGEST_PATH, Keys, parse_path, reader


def _compile(text: str) -> Resolve:
    if len(text) > LONGEST_PATH:
        raise ValueError(f"a path has at most {LONGEST_PATH:,} characters")
    return reader(_keys(text))


def _keys(text: str) -> Keys:
    return parse_path(text.removeprefix("$."))


#: A path that is fixed, or a directive that makes one.
PATH_TEXT = Expression(
    longest=LONGEST_PATH,
    compile=_compile,
    paths=lambda text: [_keys(text)],
    path_start="$.",
)

PATH = Directive(
    name="@path",
    shape='{"@path": "$.traits.email"}',
    order=10,
    takes=PATH_TEXT,
    build=as_read,
    cost=Cost.NOTHING,
    traced=Traced.BY_ITS_TEXT,
)
