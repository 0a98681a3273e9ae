"""Routing decides what becomes of an event: the deliveries that it makes, or why it makes none."""

import hashlib
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from marshmallow import ValidationError
from marshmallow.exceptions import SCHEMA

from destination.errors import MappingFailed, Refused
from destination.mapping import MISSING, durations
from destination.mapping.files import Mapping
from destination.model.arrival import Arrival
from destination.model.delivery import Award, Delivery, Discard
from destination.model.event import TYPES, Event, message_id, read_event
from destination.model.reason import DiscardReason
from destination.partners.base.destination import Action, Destination, partner_of
from destination.partners.base.source import Source
from destination.settings.modes import AnonymousCalls, OldCodes
from destination.support import json_codec
from destination.support.json_codec import Json


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Everything that routing looks at, beside the event."""

    mappings: Sequence[Mapping]
    #: Names this very set of mapping files; it is kept with each delivery.
    digest: str
    #: The files themselves, as text, by their paths below the folder.
    texts: Map[str, str]
    destinations: Map[str, Destination]
    sources: Map[str, Source]
    anonymous: AnonymousCalls
    old_codes: OldCodes
    #: Those of the destinations to which a trait is not sent once something newer has set it: all,
    #: or none where DESTINATION_STALE_TRAITS is `send`.
    clocked: Map[str, Destination]
    #: Seconds for which it is remembered what was awarded.
    award_memory: float
    max_event_bytes: int


def arrive(call: Json | Refused, source: str, routes: Routes) -> Arrival:
    """Read and route one call that a source brought; a refused one is a discard."""
    try:
        if isinstance(call, Refused):
            raise call
        event = read_event(call, source=source, max_bytes=routes.max_event_bytes)
    except Refused as refused:
        text = refused.text or _as_text(call)
        return Arrival(
            source=source,
            message_id=message_id(call, text),
            call=text.replace("\0", "�"),
            discards=(Discard(reason=refused.reason, detail=refused.detail),),
        )
    results = route(event, routes)
    return Arrival(
        source=source,
        message_id=event.message_id,
        call=event.text,
        type=event.type,
        name=event.name,
        user_id=event.user_id,
        timestamp=event.timestamp,
        deliveries=tuple(result for result in results if isinstance(result, Delivery)),
        discards=tuple(result for result in results if isinstance(result, Discard)),
        confirms=routes.sources[source].confirms(event),
    )


def route(event: Event, routes: Routes) -> list[Delivery | Discard]:
    """A delivery for each mapping that fires, or a discard that says why not; never nothing.

    An event on which it breaks is quarantined as a whole: it must not cost the sender its batch,
    which would come again and again.
    """
    try:
        return _route(event, routes)
    except Exception as error:
        return [
            Discard(
                reason=DiscardReason.MAPPING_FAILED,
                detail=f"Routing: {type(error).__name__}, a fault of ours.",
            )
        ]


def _route(event: Event, routes: Routes) -> list[Delivery | Discard]:
    if dropped := _drop(event, routes.anonymous) or routes.sources[event.source].rule(event):
        return [dropped]
    fired = [mapping for mapping in routes.mappings if _fires(mapping, event)]
    if not fired:
        detail = f"No mapping of {event.source} has a trigger that matches it."
        return [Discard(reason=DiscardReason.NO_MATCHING_MAPPING, detail=detail)]
    results = [result for mapping in fired for result in _map(event, mapping, routes)]
    # One NO_SUBSCRIBER says enough, and only where nothing else becomes of the event.
    told = [result for result in results if not _has_no_subscriber(result)]
    return told or [results[0]]


def route_again(
    event: Event, routes: Routes, *, mapping: str, destination: str
) -> list[Delivery | Discard]:
    """Run one mapping again on a kept event; for `webhook:<id>`, return that subscriber's share
    only.
    """
    partner = partner_of(destination)

    def discarded(reason: DiscardReason, detail: str) -> list[Delivery | Discard]:
        return [Discard(reason=reason, detail=detail, mapping=mapping, destination=destination)]

    named = [
        each for each in routes.mappings if (each.name, each.destination) == (mapping, partner)
    ]
    if not named:
        detail = f"There is no mapping {mapping} any more. Give one that name, and replay it again."
        return discarded(DiscardReason.MAPPING_FAILED, detail)
    if not _fires(named[0], event):
        detail = f"The mapping {mapping} does not fire on it any more."
        return discarded(DiscardReason.NO_MATCHING_MAPPING, detail)
    results = _map(event, named[0], routes)
    # A discard for all subscribers is this one's, too.
    share = [result for result in results if result.destination in (partner, destination)]
    return (results if destination == partner else share) or discarded(
        DiscardReason.NO_SUBSCRIBER, "It has not subscribed to it any more."
    )


def _drop(event: Event, anonymous: AnonymousCalls) -> Discard | None:
    """The rules that hold for every destination: who an event is about must be known."""
    if event.type not in TYPES:
        given = f"{event.type!r} is not one" if event.type else "The call has none"
        detail = f"A call's type is one of {', '.join(TYPES)}. {given}."
        return Discard(reason=DiscardReason.UNSUPPORTED_EVENT_TYPE, detail=detail)
    if event.user_id is None:
        if event.anonymous_id is not None:
            detail = "The call has an anonymousId and no userId: nobody could be rewarded for it."
            return Discard(reason=DiscardReason.ANONYMOUS, detail=detail)
        detail = "The call needs a userId: text that is not blank, or a number."
        return Discard(reason=DiscardReason.ID_REQUIRED, detail=detail)
    if event.anonymous_id is not None and anonymous is AnonymousCalls.DROP:
        detail = "The call has an anonymousId, and DESTINATION_ANONYMOUS=drop drops those."
        return Discard(reason=DiscardReason.ANONYMOUS, detail=detail)
    return None


def _has_no_subscriber(result: Delivery | Discard) -> bool:
    return isinstance(result, Discard) and result.reason == DiscardReason.NO_SUBSCRIBER


def _fires(mapping: Mapping, event: Event) -> bool:
    return mapping.enabled and mapping.source == event.source and mapping.matches(event.call)


def _map(event: Event, mapping: Mapping, routes: Routes) -> list[Delivery | Discard]:
    """What one mapping makes of the event: a delivery, one for each subscriber, or a discard. An
    event on which it breaks is quarantined for this mapping alone; the others go on.
    """
    try:
        if discard := _keep_from(event, mapping, routes):
            return [discard]
        return _make(event, mapping, routes)
    except MappingFailed as error:
        detail = str(error)
    except Exception as error:
        # A fault of ours must not cost the sender its batch, nor us the event.
        detail = f"{mapping.path}: {type(error).__name__}, a fault of ours."
    return [_discard(mapping, DiscardReason.MAPPING_FAILED, detail)]


def _keep_from(event: Event, mapping: Mapping, routes: Routes) -> Discard | None:
    """Why an event must not reach a mapping's destination, by what the event says of itself."""
    destination = routes.destinations[mapping.destination]
    carriers = routes.sources[mapping.source].integrations
    if not wanted(event.integrations, destination.integration, carriers):
        detail = f"The call's integrations object keeps it from {destination.integration}."
        return _discard(mapping, DiscardReason.FILTERED_BY_INTEGRATIONS_OBJECT, detail)
    age = 0.0 if event.timestamp is None else event.received_at - event.timestamp
    if mapping.max_age is not None and age > mapping.max_age:
        most = durations.words(mapping.max_age)
        detail = f"It is {durations.words(age)} old, and may be {most} at most."
        return _discard(mapping, DiscardReason.TOO_OLD, detail)
    return None


def _make(event: Event, mapping: Mapping, routes: Routes) -> list[Delivery | Discard]:
    """Render, validate and address what one mapping sends. Raises MappingFailed, or whatever our
    own fault may raise.
    """
    destination = routes.destinations[mapping.destination]
    action = destination.actions[mapping.action]
    try:
        payload = action.fields.payload(mapping.render(event.call))
        award = _award(event, mapping, routes) if action.fields.awards else None
    except ValidationError as error:
        detail = f"{action.label}: {_faults(error)}."
        return [_discard(mapping, DiscardReason.PAYLOAD_VALIDATION_FAILED, detail)]
    if action.rule and (dropped := action.rule(payload)):
        return [_discard(mapping, dropped.reason, dropped.detail)]
    delivery = Delivery(
        mapping=mapping.name,
        destination=mapping.destination,
        action=mapping.action,
        customer=cast(str, payload[action.customer]),
        payload=_as_json(payload, mapping),
        code=cast(str | None, payload.get(action.code)) if action.code else None,
        code_field=action.code,
        frees_codes=routes.old_codes is OldCodes.FREE,
        used_code=action.used_code(payload) if action.used_code else None,
        traits=traits_of(action, payload) if mapping.destination in routes.clocked else (),
        award=award,
        mapping_set=routes.digest,
        bulk=event.bulk,
    )
    if action.fan_out is None:
        return [delivery]
    for_subscribers = [
        replace(
            delivery,
            destination=each.endpoint,
            payload=_as_json(each.payload, mapping),
            notification=each.notification,
        )
        for each in action.fan_out(payload, event, mapping.name)
    ]
    detail = f"Nobody has subscribed to it at {destination.label}."
    return [*for_subscribers] or [_discard(mapping, DiscardReason.NO_SUBSCRIBER, detail)]


def _faults(error: ValidationError) -> str:
    """What is wrong with a payload's fields: `value must be a number; name is required`."""
    return "; ".join(
        f"{'the payload' if name == SCHEMA else name} {' and '.join(found)}"
        for name, found in error.messages_dict.items()
    )


def _discard(mapping: Mapping, reason: str, detail: str) -> Discard:
    return Discard(
        reason=reason, detail=detail, mapping=mapping.name, destination=mapping.destination
    )


def _as_json(payload: Json, mapping: Mapping) -> str:
    """Raises MappingFailed."""
    try:
        return json_codec.dumps(payload)
    except (ValueError, RecursionError) as error:
        raise MappingFailed(f"{mapping.path}: what it makes cannot be written as JSON.") from error


def _award(event: Event, mapping: Mapping, routes: Routes) -> Award:
    """What the event pays by a mapping. Raises MappingFailed."""
    whose = [mapping.destination, mapping.name]
    known_by = [[*whose, event.source, event.message_id]]
    value = mapping.award_key(event.call) if mapping.award_key else None
    if not _is_nothing(value):
        known_by.append([*whose, value if isinstance(value, str) else json_codec.dumps(value)])
    keys = tuple(hashlib.sha256(json_codec.dumps(names).encode()).digest() for names in known_by)
    return Award(keys=keys, memory=routes.award_memory)


def _is_nothing(value: object) -> bool:
    """Whether a value tells nothing apart: it is missing, null or empty, and so is all in it."""
    if isinstance(value, dict | list):
        return all(map(_is_nothing, value.values() if isinstance(value, dict) else value))
    return value is MISSING or value is None or (isinstance(value, str) and not value.strip())


def traits_of(action: Action, payload: dict[str, Json]) -> tuple[str, ...]:
    """The places of a payload that something newer may have set."""
    if action.traits is None:
        return ()
    code = (action.code,) if action.code in payload else ()
    traits = cast(dict[str, Json], payload.get(action.traits) or {})
    return (*code, *(f"{action.traits}.{name}" for name in traits))


def wanted(integrations: Map[str, object], own: str, carriers: Sequence[str]) -> bool:
    """Whether a call's `integrations` object lets it reach a destination.

    The destination's own key rules; then the key of the webhook that carries it, since Segment
    has decided by that one already; then `All`, which is true where nobody says otherwise.
    """
    for key in (own, *carriers, "All"):
        if key in integrations:
            return integrations[key] not in (False, None)
    return True


def _as_text(call: Json | Refused) -> str:
    try:
        return json_codec.dumps(call) if not isinstance(call, Refused) else ""
    except (RecursionError, ValueError):
        return ""
