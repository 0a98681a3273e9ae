"""A notice is what an engine's webhook tells us: JSON that becomes a track call of a member."""

import contextlib

from destination.errors import Refused
from destination.support import json_codec
from destination.support.json_codec import Json


def read_notices(body: bytes) -> tuple[list[Json], bool]:
    """The notices in a body, and whether they were a list. An empty body has none.

    Raises Refused when it cannot be read.
    """
    if not body.strip():
        return [], True
    try:
        text = body.decode("utf-8-sig")
        found = json_codec.loads(text)
    except ValueError as error:
        reason = "nested_too_deep" if isinstance(error.__cause__, RecursionError) else "bad_request"
        raise Refused(reason, f"The body cannot be read as JSON: {error}.") from error
    if json_codec.is_too_deep(text):
        raise Refused("nested_too_deep", f"Nested deeper than {json_codec.MAX_DEPTH} levels.")
    return (found, True) if isinstance(found, list) else ([found], False)


def part(notice: Json, *path: str) -> Json:
    """What stands at a path in it; None where nothing does."""
    for key in path:
        notice = notice.get(key) if isinstance(notice, dict) else None
    return notice


def first_date(*dates: Json) -> str | None:
    """The first of them that is a date in ISO 8601, in UTC with milliseconds."""
    for date in dates:
        with contextlib.suppress(ValueError):
            return json_codec.moment(json_codec.seconds(date))
    return None
