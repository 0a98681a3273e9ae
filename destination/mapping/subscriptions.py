"""A subscription is what Segment calls a mapping: read from its JSON, as people copy it."""

from collections.abc import Iterator
from typing import Any

from destination.errors import InvalidMapping, Problem
from destination.mapping.shorthand import shorten
from destination.wording import kind

#: What we call the parts of a subscription, and what the places call them in which one can be
#: found: the stored settings of a destination, the Public API, and our own files.
_NAMES = {
    "name": ("name",),
    "description": ("description",),
    "action": ("partnerAction", "actionSlug", "action"),
    "trigger": ("subscribe", "trigger"),
    "enabled": ("enabled",),
    "fields": ("mapping", "fields", "settings"),
}

#: What several of them, or one, are wrapped in.
_WRAPPERS = ("subscriptions", "subscription", "data")


def read_subscriptions(found: Any) -> list[dict[str, Any]]:
    """Return what the mapping files of subscriptions hold: `name`, `action`, `trigger`,
    `fields` in the short way, and where they are said `enabled` and `description`.

    `found` is one subscription, a list, or either of them wrapped. Actions, triggers and
    directives are taken as they stand: lint judges them. Raises Problem for what cannot be a
    subscription.
    """
    subscriptions = list(_unwrapped(found))
    if not subscriptions:
        raise Problem(
            'There is no mapping in it: an object with "partnerAction", "subscribe" and "mapping".'
        )
    return [_content(each, place) for place, each in enumerate(subscriptions, 1)]


def _unwrapped(found: Any) -> Iterator[Any]:
    waiting = [found]
    while waiting:
        each = waiting.pop()
        inner = [each[key] for key in _WRAPPERS if key in each] if isinstance(each, dict) else []
        if isinstance(each, list):
            waiting += reversed(each)
        elif inner and not any(key in each for key in (*_NAMES["action"], *_NAMES["trigger"])):
            waiting += reversed(inner)
        else:
            yield each


def _content(found: Any, place: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Problem(f"Mapping {place} is {kind(found)}, not an object.")
    content = {
        ours: found[theirs]
        for ours, names in _NAMES.items()
        for theirs in [next((name for name in names if found.get(name) is not None), None)]
        if theirs is not None
    }
    called = f'"{content["name"]}"' if isinstance(content.get("name"), str) else f"Mapping {place}"
    if isinstance(content.get("action"), dict):
        content["action"] = content["action"].get("slug")
    for part, wanted in (("action", str), ("trigger", str), ("fields", dict)):
        if not isinstance(content.get(part), wanted):
            names = " or ".join(f'"{name}"' for name in _NAMES[part])
            instead = kind(content[part]) if part in content else "missing"
            raise Problem(
                f"{called}: {names} is {instead}, and {kind(wanted())} belongs there{_HINTS[part]}"
            )
    try:
        fields = shorten(content["fields"])
    except InvalidMapping as error:
        raise Problem(f"{called}: {error.message}.") from error
    return {"name": content["action"], **content, "fields": fields}


_HINTS = {
    "action": ', such as "trackEvent".',
    "trigger": ': the condition as it is written, such as "type = \\"track\\"".',
    "fields": ": the fields with what is sent in each.",
}
