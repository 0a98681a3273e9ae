"""A subscription is what Segment calls a mapping: read from its JSON, as people copy it."""

from collections.abc import Iterator
from typing import NamedTuple

from destination.errors import InvalidMapping, Problem
from destination.mapping.shorthand import shorten
from destination.support.text import kind, listed


class _Part(NamedTuple):
    """A part of a subscription: its names in the places in which one can be found (a
    destination's stored settings, the Public API, its app), and what it must be.
    """

    names: tuple[str, ...]
    needed: type | None = None
    hint: str = ""


_PARTS = {
    "name": _Part(("name",)),
    "description": _Part(("description",)),
    "action": _Part(("partnerAction", "actionSlug", "action"), str, "such as trackEvent"),
    "trigger": _Part(("subscribe", "trigger"), str, 'such as type = "track"'),
    "enabled": _Part(("enabled",)),
    "fields": _Part(("mapping", "fields", "settings"), dict, "the fields with what each sends"),
}

#: What several of them, or one, are wrapped in.
_WRAPPERS = ("subscriptions", "subscription", "data")


def read_subscriptions(found: object) -> list[dict[str, object]]:
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


def _unwrapped(found: object) -> Iterator[object]:
    waiting = [found]
    while waiting:
        each = waiting.pop()
        inner = [each[key] for key in _WRAPPERS if key in each] if isinstance(each, dict) else []
        if isinstance(each, list):
            waiting += reversed(each)
        elif isinstance(each, dict) and inner and _part(each, "trigger") is None:
            waiting += reversed(inner)
        else:
            yield each


def _content(found: object, place: int) -> dict[str, object]:
    if not isinstance(found, dict):
        raise Problem(f"Mapping {place} is {kind(found)}, not an object.")
    content = {key: part for key in _PARTS if (part := _part(found, key)) is not None}
    called = f'"{content["name"]}"' if isinstance(content.get("name"), str) else f"Mapping {place}"
    if isinstance(found.get("action"), str) and "fields" in found:
        raise Problem(f"{called} is a mapping file already: put it into its folder as it is.")
    for key, (names, needed, hint) in _PARTS.items():
        if needed and not isinstance(content.get(key), needed):
            quoted = listed((f'"{name}"' for name in names), "or")
            instead = f"is {kind(content[key])}" if key in content else "is missing"
            raise Problem(f"{called}: {quoted} {instead}, and must be {kind(needed())}: {hint}.")
    try:
        content["fields"] = shorten(content["fields"])
    except InvalidMapping as error:
        raise Problem(f"{called}: {error.message}.") from error
    if content.get("enabled") is True:
        del content["enabled"]  # as every file is that does not say otherwise
    return {"name": content["action"], **content}


def _part(found: dict[str, object], key: str) -> object:
    """One part of a subscription, by the first of its names that has a value; None without."""
    named = (found[name] for name in _PARTS[key].names if found.get(name) is not None)
    part = next(named, None)
    return part.get("slug") if key == "action" and isinstance(part, dict) else part
