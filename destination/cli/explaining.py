"""What preview shows of a call: each mapping with its request, or with what keeps it from one."""

import itertools
from dataclasses import replace
from typing import cast

from marshmallow import ValidationError
from rich.text import Text

from destination.cli import tables
from destination.cli.call_files import FileCall
from destination.cli.calls import outcome_of
from destination.mapping import MISSING
from destination.mapping.explain import Trace, explain_fields, explain_trigger, shown
from destination.mapping.files import Mapping
from destination.model.arrival import Arrival
from destination.model.delivery import Delivery, Discard
from destination.partners.base.destination import Action
from destination.routing.route import Routes, arrive
from destination.support import json_codec
from destination.support.json_codec import Json
from destination.support.text import listed, printable

#: Columns of a line in a pipe.
WIDTH = 100

#: Ways to match that are shown of a trigger that has more.
MOST_UNMET = 5

#: What the check of a payload says of a field that it needs.
_NEEDED = ["is missing"]


class Explainer:
    """Prints what becomes of calls, for people."""

    def __init__(self, routes: Routes, *, in_detail: bool) -> None:
        """`in_detail` looks into mappings that are switched off as well."""
        self._routes = routes
        self._in_detail = in_detail
        self._console = tables.console(WIDTH)

    def explain(self, file_call: FileCall, arrival: Arrival) -> None:
        """Print one call: what becomes of it, and what each mapping makes of it."""
        outcome, reason = outcome_of(arrival)
        head = Text.assemble((printable(file_call.name), "bold"), "  ", tables.coloured(outcome))
        self._line(head + Text(f"  {reason}" if reason else ""))
        if arrival.discards and arrival.discards[0].mapping is None and not _unmatched(arrival):
            self._line(Text(printable(arrival.discards[0].detail)), indent=2)
            self._line(Text("No mapping is asked: this comes before them.", "dim"), indent=2)
        else:
            for mapping in self._routes.mappings:
                # A mapping is asked of objects alone.
                self._explain_mapping(mapping, cast(dict[str, Json], file_call.call), arrival)
        self._console.print()

    def _explain_mapping(self, mapping: Mapping, call: dict[str, Json], arrival: Arrival) -> None:
        name = (mapping.name, "bold")
        if mapping.source != arrival.source:
            if self._in_detail:
                self._line(Text.assemble("– ", name, f" maps what {mapping.source} sends."))
            return
        in_use = self._routes.destinations[mapping.destination].in_use
        if not (in_use or self._in_detail):
            return
        if not mapping.enabled:
            self._line(Text.assemble("– ", name, f" is switched off: {self._why_off(mapping)}"))
            if not self._in_detail:
                return
            self._line(Text("Switched on, it would do this:"), indent=2)
        routes = replace(self._routes, mappings=[replace(mapping, enabled=True)])
        alone = arrive(call, arrival.source, routes)
        if _unmatched(alone):
            self._explain_trigger(mapping, call)
        elif alone.deliveries:
            self._explain_delivery(mapping, call, alone.deliveries[0])
        else:
            self._explain_discard(mapping, call, alone.discards[0])

    def _why_off(self, mapping: Mapping) -> str:
        destination = self._routes.destinations[mapping.destination]
        if destination.in_use:
            return "its file says enabled: false"
        return f"it needs {listed(destination.credentials)}"

    def _explain_trigger(self, mapping: Mapping, call: dict[str, Json]) -> None:
        head = Text.assemble(("✗ ", "yellow"), (mapping.name, "bold"))
        unmet = explain_trigger(mapping.trigger, call)
        if len(unmet) == 1:
            self._line(head + Text(f"  {unmet[0].condition}: {unmet[0].finding}"))
            return
        self._line(head + Text("  none of these holds:"))
        for each in unmet[:MOST_UNMET]:
            self._line(Text(f"{each.condition}: {each.finding}"), indent=4)
        if len(unmet) > MOST_UNMET:
            self._line(Text(f"… and {len(unmet) - MOST_UNMET} more"), indent=4)

    def _explain_delivery(
        self, mapping: Mapping, call: dict[str, Json], delivery: Delivery
    ) -> None:
        destination = self._routes.destinations[delivery.destination]
        action = destination.actions[delivery.action]
        *before, request = action.requests(json_codec.load_object(delivery.payload))
        where = f" → {request.method} {destination.url}{request.path}"
        self._line(Text.assemble(("✓ ", "green"), (mapping.name, "bold"), where))
        for asked in before:
            where = f"{asked.method} {destination.url}{asked.path}"
            self._line(Text(f"first {where} asks whether it may be sent"), indent=4)
        self._explain_fields(mapping, call, action)
        if request.body is not None:
            for line in json_codec.pretty(json_codec.loads(request.body)).split("\n"):
                text = Text(printable(f"    {line}"))
                self._console.print(text, no_wrap=True, overflow="ellipsis")

    def _explain_discard(self, mapping: Mapping, call: dict[str, Json], discard: Discard) -> None:
        why = f" matches, and is not sent: {discard.reason}"
        self._line(Text.assemble(("! ", "red"), (mapping.name, "bold"), why))
        self._line(Text(printable(discard.detail)), indent=4)
        action = self._routes.destinations[mapping.destination].actions[mapping.action]
        self._explain_fields(mapping, call, action)

    def _explain_fields(self, mapping: Mapping, call: dict[str, Json], action: Action) -> None:
        notes = _notes(mapping, call, action)
        traces = explain_fields(mapping.fields, call)
        for field, group in itertools.groupby(traces, key=lambda trace: str(trace.place[0])):
            for trace in group:
                whole = len(trace.place) == 1
                self._line(_trace(trace, notes.pop(field, None) if whole else None), indent=4)
            if note := notes.get(field):
                self._line(Text.assemble((field, "cyan"), (f": {note}", "yellow")), indent=4)

    def _line(self, text: Text, indent: int = 0) -> None:
        """Print a line; where it is too long, it goes on below, further right."""
        width = self._console.width - indent - 2
        for index, line in enumerate(text.wrap(self._console, width)):
            line.rstrip()
            self._console.print(Text(" " * (indent + 2 * bool(index))) + line, soft_wrap=True)


def _unmatched(arrival: Arrival) -> bool:
    return any(discard.reason == "no_matching_mapping" for discard in arrival.discards)


def _trace(trace: Trace, note: str | None) -> Text:
    """`source_id ← $.userId = 12345: becomes "12345"`."""
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in trace.place)
    text = Text.assemble((place.removeprefix("."), "cyan"), (" ← ", "dim"), trace.text)
    if trace.lost:
        text.append(f" (nothing at {listed(trace.lost)})", "yellow")
    if note is None and trace.found is MISSING and not trace.failed:
        note = "null keeps its place" if isinstance(trace.place[-1], int) else "left out"
    if note is not None:
        text.append(f": {note}", "yellow")
    return text


def _notes(mapping: Mapping, call: dict[str, Json], action: Action) -> dict[str, str]:
    """What the action makes of a field, by its name, where it does not take it as it is."""
    try:
        rendered = mapping.render(call)
    except Exception:
        return {}  # why it breaks is said above the fields
    try:
        sent = action.fields.payload(rendered)
    except ValidationError as error:
        return {
            name: "the action needs it" if found == _NEEDED else " and ".join(found)
            for name, found in error.messages_dict.items()
        }
    notes = {}
    for name, made in rendered.items() if isinstance(rendered, dict) else ():
        if name not in sent:
            notes[name] = f"{'an empty text' if made == '' else 'no value'}, left out"
        elif json_codec.dumps(sent[name]) != json_codec.dumps(made):
            notes[name] = f"becomes {shown(sent[name])}"
    return notes
