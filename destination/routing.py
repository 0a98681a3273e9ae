"""Routing decides what becomes of an event: the deliveries that it makes, or why it makes none."""

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, replace

from marshmallow import ValidationError
from marshmallow.exceptions import SCHEMA

from destination import jsontext
from destination.deliveries import Delivery, Discard
from destination.errors import MappingFailed, Refused
from destination.events import TYPES, Event, message_id, read_event
from destination.jsontext import Json
from destination.mapping.files import Mapping
from destination.partners import Destination, Source

#: The reason of an event that a mapping broke on: it is parked, and runs again after the fix.
PARKED = "mapping_failed"


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
    #: `send` or `drop` a call that has an anonymousId beside its userId.
    anonymous: str
    max_event_bytes: int


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One call with what becomes of it."""

    source: str
    message_id: str
    #: The call as JSON text, or as it arrived where it could not be read.
    call: str
    type: str | None = None
    name: str | None = None
    user_id: str | None = None
    timestamp: float | None = None
    deliveries: tuple[Delivery, ...] = ()
    discards: tuple[Discard, ...] = ()


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
    )


def route(event: Event, routes: Routes) -> list[Delivery | Discard]:
    """A delivery for each mapping that fires, or a discard that says why not; never nothing."""
    if dropped := _drop(event, routes.anonymous):
        return [dropped]
    fired = [mapping for mapping in routes.mappings if _fires(mapping, event)]
    if not fired:
        detail = f"No mapping of {event.source} has a trigger that matches it."
        return [Discard(reason="no_matching_mapping", detail=detail)]
    return [made for mapping in fired for made in _map(event, mapping, routes)]


def route_again(
    event: Event, routes: Routes, *, mapping: str, destination: str
) -> list[Delivery | Discard]:
    """What one mapping makes of an event that it broke on before."""
    for found in routes.mappings:
        if (found.name, found.destination) == (mapping, destination):
            if _fires(found, event):
                return _map(event, found, routes)
            reason, detail = (
                "no_matching_mapping",
                f"The mapping {mapping} does not fire on it any more.",
            )
            break
    else:
        reason = PARKED
        detail = f"There is no mapping {mapping} any more. Give one that name, and replay it again."
    return [Discard(reason=reason, detail=detail, mapping=mapping, destination=destination)]


def _drop(event: Event, anonymous: str) -> Discard | None:
    """The rules that hold for every destination: who an event is about must be known."""
    if event.type not in TYPES:
        given = f"{event.type!r} is not one" if event.type else "The call has none"
        detail = f"A call's type is one of {', '.join(TYPES)}. {given}."
        return Discard(reason="unsupported_event_type", detail=detail)
    if event.user_id is None:
        if event.anonymous_id is not None:
            detail = "The call has an anonymousId and no userId: nobody could be rewarded for it."
            return Discard(reason="anonymous", detail=detail)
        detail = "The call needs a userId: text that is not blank, or a number."
        return Discard(reason="id_required", detail=detail)
    if event.anonymous_id is not None and anonymous == "drop":
        detail = "The call has an anonymousId, and DESTINATION_ANONYMOUS=drop drops those."
        return Discard(reason="anonymous", detail=detail)
    return None


def _fires(mapping: Mapping, event: Event) -> bool:
    return mapping.enabled and mapping.source == event.source and mapping.matches(event.call)


def _map(event: Event, mapping: Mapping, routes: Routes) -> list[Delivery | Discard]:
    """What one mapping makes of the event: a delivery for each endpoint that gets it."""

    def discard(reason: str, detail: str) -> list[Delivery | Discard]:
        discarded = Discard(
            reason=reason, detail=detail, mapping=mapping.name, destination=mapping.destination
        )
        return [discarded]

    destination = routes.destinations[mapping.destination]
    carriers = routes.sources[mapping.source].integrations
    if not wanted(event.integrations, destination.integration, carriers):
        detail = f"The call's integrations object keeps it from {destination.integration}."
        return discard("filtered_by_integrations_object", detail)
    action = destination.actions[mapping.action]
    try:
        payload = action.fields.payload(mapping.render(event.call))
    except ValidationError as error:
        wrong = [
            f"{'the payload' if name == SCHEMA else name} {' and '.join(found)}"
            for name, found in error.messages_dict.items()
        ]
        return discard("payload_validation_failed", f"{action.label}: {'; '.join(wrong)}.")
    except MappingFailed as error:
        return discard(PARKED, str(error))
    except Exception as error:
        # A fault of ours must not cost the sender its batch, nor us the event.
        return discard(PARKED, f"{mapping.path}: {type(error).__name__}, a fault of ours.")
    if action.rule and (objection := action.rule(payload)):
        return discard(objection.reason, objection.detail)
    delivery = Delivery(
        mapping=mapping.name,
        destination=mapping.destination,
        action=mapping.action,
        customer=payload[action.customer],
        payload=jsontext.dumps(payload),
        code=payload.get(action.code) if action.code else None,
        mapping_set=routes.digest,
    )
    if action.copies is None:
        return [delivery]
    copies: list[Delivery | Discard] = [
        replace(
            delivery,
            destination=copy.endpoint,
            payload=jsontext.dumps(copy.payload),
            notice=copy.notice,
        )
        for copy in action.copies(payload, event, mapping.name)
    ]
    return copies or discard(
        "no_subscriber", f"Nobody has subscribed to it at {destination.label}."
    )


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
        return jsontext.dumps(call) if not isinstance(call, Refused) else ""
    except (RecursionError, ValueError):
        return ""
