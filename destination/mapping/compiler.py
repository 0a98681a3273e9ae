"""A mapping says what is sent of an event: compiled when it loads, run on every event."""

from collections.abc import Callable
from typing import Any

from destination.errors import MappingFailed
from destination.mapping.arguments import NOTES, is_directive
from destination.mapping.bounds import check_size, metered, spend_on, walk
from destination.mapping.directives import compile_root
from destination.support.text import kind

#: These make nothing that the event does not have, in the time that it takes to look it up.
_UNMETERED = {"@path", "@if", "@literal", NOTES}

#: So many directives may each send the whole event before the size of it all is counted.
_FEW = 30


def compile_mapping(mapping: Any) -> Callable[[Any], Any]:
    """Compile a mapping in Segment's form: constants, objects, lists and directives.

    Returns the function from an event (an object, as JSON has it) to the payload, or to
    MISSING where the whole mapping finds nothing. It changes neither event nor mapping, may be
    called by many threads, and raises MappingFailed for an event that it cannot work with. The
    payload may share parts with the event.

    Raises InvalidMapping at the first fault, with its place in `where` and the other faults in
    `every`.
    """
    check_size(mapping)
    resolve = compile_root(mapping)

    def run(event: Any) -> Any:
        if not isinstance(event, dict):
            raise MappingFailed(f"an event is an object, not {kind(event)}")
        return resolve(event)

    used = [key for found, _ in walk(mapping) if is_directive(found) for key in found]
    if len(used) > _FEW or "@transform" in used:
        return metered(lambda event: _counted(run(event)))
    return run if _UNMETERED.issuperset(used) else metered(run)


def _counted(payload: Any) -> Any:
    spend_on(payload)
    return payload


def transform(mapping: Any, event: Any) -> Any:
    """Compile a mapping and run it on one event: for trying things out. See compile_mapping."""
    return compile_mapping(mapping)(event)
