"""The mapping kit: Segment's mapping directives and triggers, compiled once and run per event.

It knows nothing of web, store or partners: events and payloads are plain JSON values.

    fields = compile_mapping({"email": {"@path": "$.traits.email"}})
    fires = compile_trigger('type = "identify"')
    if fires(event):
        payload = fields(event)
"""

from destination.errors import InvalidMapping, InvalidTrigger, MappingFailed
from destination.mapping.compiler import compile_mapping, transform
from destination.mapping.paths import MISSING
from destination.mapping.shorthand import expand, shorten
from destination.mapping.triggers import compile_trigger, matches

__all__ = [
    "MISSING",
    "InvalidMapping",
    "InvalidTrigger",
    "MappingFailed",
    "compile_mapping",
    "compile_trigger",
    "expand",
    "matches",
    "shorten",
    "transform",
]
