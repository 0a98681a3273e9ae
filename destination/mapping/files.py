"""Mapping files: YAML or JSON, one mapping a file, a folder per direction.

`mappings/segment-to-rehook/identify-user.yaml` maps what `segment` sends to what `rehook` takes.
A file is read, checked and compiled once; every finding names its file, line and remedy.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from collections.abc import Mapping as Map
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import jsonschema
from marshmallow import Schema

from destination.errors import InvalidMapping, InvalidTrigger
from destination.mapping import MISSING, compile_mapping, compile_trigger, durations, expand
from destination.mapping.argument_types import JsonSchema
from destination.mapping.dead_paths import Seen, dead_paths
from destination.mapping.documents import Document, Finding
from destination.mapping.lint import (
    check_award_key,
    check_trigger,
    doubts,
    half_paths,
    misfits,
)
from destination.support.text import did_you_mean, listed


class FileSchema(TypedDict):
    """The JSON Schema of a mapping file's keys."""

    type: str
    required: list[str]
    additionalProperties: bool
    properties: dict[str, JsonSchema]


#: What a mapping file holds.
SCHEMA: FileSchema = {
    "type": "object",
    "required": ["name", "action", "trigger", "fields"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "description": {"type": "string"},
        "enabled": {"type": "boolean"},
        "action": {"type": "string"},
        "trigger": {"type": "string", "minLength": 1},
        "max_age": {"type": "string", "pattern": durations.PATTERN},
        "award_key": {},
        "fields": {"type": "object", "minProperties": 1},
    },
}

#: Mappings of one destination that may be switched on, as at Segment.
MOST_MAPPINGS = 50

#: The actions that a mapping can name, with their fields: destination → action → fields.
Actions = Map[str, Map[str, Schema]]

#: Whether a mapping fires on a call.
Matches = Callable[[Map[str, object]], bool]

#: The fields that a mapping makes of a call; MISSING, or no object, where it makes none.
Render = Callable[[Map[str, object]], object]


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A trigger, an action and the fields to send, compiled."""

    name: str
    source: str
    destination: str
    action: str
    #: The file that it was read from.
    path: Path
    enabled: bool
    #: As it stands in the file.
    trigger: str
    #: In Segment's form.
    fields: dict[str, object]
    matches: Matches
    render: Render
    #: Seconds: an event that is older makes nothing. None where its age does not matter.
    max_age: float | None = None
    #: What an award is known by, beside its event: each is made once.
    award_key: Render | None = None


def load_mappings(folder: Path, sources: Collection[str], actions: Actions) -> list[Mapping]:
    """Return the mappings of a folder, in the order of their file names.

    Raises InvalidMapping that lists every finding, a line each.
    """
    mappings, findings = read_mappings(folder, sources, actions)
    if findings:
        raise InvalidMapping("\n".join(map(str, findings)))
    return mappings


def read_mappings(
    path: Path,
    sources: Collection[str],
    actions: Actions,
    examples: Map[str, Sequence[object]] | None = None,
) -> tuple[list[Mapping], list[Finding]]:
    """Return the mappings of a folder or of one file, and what is wrong with those left out.

    Findings stand in the order of the files, and of the lines in a file. Warnings are among them
    only where there are `examples`: events by their source.
    """
    found = files(path)
    if not found:
        message = (
            "there is no mapping in it: add one, such as segment-to-rehook/order.yaml."
            if path.exists()
            else "there is no such file or folder. `destination init` writes a folder of "
            "mappings here; DESTINATION_MAPPINGS names another one."
        )
        return [], [Finding(path=path, line=1, column=1, message=message)]
    seen = {source: Seen(events) for source, events in (examples or {}).items() if events}
    mappings: list[Mapping] = []
    findings: list[Finding] = []
    others = _Others()
    for each in found:
        document = Document(each)
        if not document.legible:
            findings += document.findings
            continue
        if len(each.relative_to(path).parts) > 2:
            document.report(f"the file stands too deep. Move it to {path}/{each.parent.name}.")
        reader = _Reader(document, sources, actions, others)
        mapping = reader.read(seen)
        if examples is not None:
            reader.doubt()
        if mapping:
            mappings.append(mapping)
        findings += sorted(document.findings, key=lambda each: (each.line, each.column))
    return mappings, findings


def files(path: Path) -> list[Path]:
    """Return the mapping files of a folder, in the order of their names; of a file, itself.

    The folder of a direction that cannot be opened is among them: reading it says why.
    """
    found: list[Path] = []

    def closed(error: OSError) -> None:
        folder = Path(error.filename)
        gone = isinstance(error, FileNotFoundError)
        if not gone and (folder == path or "-to-" in folder.name):
            found.append(folder)

    for folder, _, names in os.walk(path, onerror=closed):
        within = (Path(folder, name) for name in names)
        found += [each for each in within if each.suffix.lower() in (".yaml", ".yml", ".json")]
    return sorted(
        each
        for each in found
        if not any(part.startswith(".") for part in each.relative_to(path).parts)
    )


def stamps(roots: Sequence[Path]) -> dict[Path, tuple[int, int, int]]:
    """Return a stamp of each file in these folders, by its path; a file is its own folder.

    It changes when the file's content does, or who may read it. An editor may take a file away
    for a moment: a file that cannot be looked at is left out.
    """
    found = {}
    for root in roots:
        with suppress(OSError):
            for path in root.rglob("*") if root.is_dir() else [root]:
                stat = path.stat()
                found[path] = (stat.st_ctime_ns, stat.st_size, stat.st_ino)
    return found


class _Others:
    """The mappings of the same set that were read before."""

    def __init__(self) -> None:
        #: By destination and name, without regard to capitals.
        self.paths: dict[tuple[str, str], Path] = {}
        #: How many are switched on, by destination.
        self.enabled: Counter[str] = Counter()


class _Reader:
    """Reads one document as a mapping. It goes on after an error, to report others as well."""

    def __init__(
        self, document: Document, sources: Collection[str], actions: Actions, others: _Others
    ) -> None:
        self._document = document
        self._others = others
        found = document.content
        # Of the types that SCHEMA asks for, or there is a finding.
        self._content: dict[str, Any] = found if isinstance(found, dict) else {}
        folder = document.path.absolute().parent.name
        self._source, _, self._destination = folder.partition("-to-")
        self._actions = actions.get(self._destination)
        to_itself = self._source == self._destination  # what it sends would come round again
        if to_itself or self._source not in sources or self._actions is None:
            known = [f"{one}-to-{other}" for one in sources for other in actions if one != other]
            document.report(
                f"the folder {folder} names no direction that we know. "
                f"Move the file to {listed(known, 'or')}."
            )

    def read(self, seen: Map[str, Seen]) -> Mapping | None:
        """Return the mapping, compiled, or None where the document's findings say why not."""
        readable = self._document.content is not None or not self._document.findings
        if readable:
            self._check_shape()
            self._check_fields()
            self._check_others()
        matches, render = self._compile_trigger(), self._compile_fields()
        award_key = self._compile_award_key()
        if matches and render and self._content.get("enabled") is not False:
            self._warn(seen.get(self._source))
        content = self._content
        if matches is None or render is None or self._document.has_errors:
            return None
        return Mapping(
            name=content["name"],
            source=self._source,
            destination=self._destination,
            action=content["action"],
            path=self._document.path,
            enabled=content.get("enabled", True),
            trigger=content["trigger"],
            fields=expand(content["fields"]),
            matches=matches,
            render=render,
            max_age=durations.seconds(content["max_age"]) if "max_age" in content else None,
            award_key=award_key,
        )

    def doubt(self) -> None:
        """Warn of what is likely to be a mistake for any event."""
        if self._document.has_errors or self._content.get("enabled") is False:
            return
        for message, offset in doubts(self._content["trigger"]):
            self._document.report(message, ("trigger",), offset=offset, severity="warning")
        for each in half_paths(expand(self._content["fields"])):
            where = ("fields", *each.where)
            self._document.report(each.message, where, of_value=True, severity="warning")

    def _check_shape(self) -> None:
        validator = jsonschema.Draft202012Validator(SCHEMA)
        for error in validator.iter_errors(self._document.content):
            if error.validator == "additionalProperties":
                for key in self._content.keys() - SCHEMA["properties"].keys():
                    hint = did_you_mean(key, SCHEMA["properties"])
                    self._document.report(f"unknown key {key}. {hint}", (key,))
            elif error.validator == "required":
                continue
            else:
                self._document.report(_explain(error), tuple(error.path))
        for key in SCHEMA["required"]:
            if isinstance(self._document.content, dict) and key not in self._content:
                self._document.report(f"the mapping needs the key {key}. Add it.")

    def _check_fields(self) -> None:
        action, fields = self._content.get("action"), self._content.get("fields")
        if self._actions is None or not isinstance(action, str):
            return
        if action not in self._actions:
            hint = did_you_mean(action, self._actions)
            self._document.report(
                f"{self._destination} has no action {action}. {hint}", ("action",)
            )
        elif isinstance(fields, dict):
            known = self._actions[action].fields
            for name in fields.keys() - known.keys():
                hint = did_you_mean(name, known)
                self._document.report(f"{action} has no field {name}. {hint}", ("fields", name))
            for name, field in known.items():
                if field.required and name not in fields:
                    self._document.report(f"{action} needs the field {name}. Add it.", ("fields",))

    def _check_others(self) -> None:
        """Report a name that another mapping has: a mapping is known by its name."""
        name, destination = self._content.get("name"), self._destination
        if isinstance(name, str):
            key = (destination, name.casefold())
            twin = self._others.paths.setdefault(key, self._document.path)
            if twin != self._document.path:
                message = f"{twin} is named {name!r} too. Give this one another name."
                self._document.report(message, ("name",))
        self._others.enabled[destination] += self._content.get("enabled") is not False
        if self._others.enabled[destination] == MOST_MAPPINGS + 1:
            self._document.report(
                f"{destination} has {MOST_MAPPINGS} mappings before this one, and no more are "
                "taken. Take one out, or switch it off with enabled: false."
            )

    def _compile_trigger(self) -> Matches | None:
        trigger = self._content.get("trigger")
        if not isinstance(trigger, str) or not trigger:
            return None
        try:
            check_trigger(trigger)
            return compile_trigger(trigger)
        except InvalidTrigger as error:
            self._document.report(error.message, ("trigger",), offset=error.position)
            return None

    def _compile_fields(self) -> Render | None:
        fields = self._content.get("fields")
        if not isinstance(fields, dict) or not fields:
            return None
        try:
            written = expand(fields)
            self._check_values(written)
            return compile_mapping(written)
        except InvalidMapping as error:
            for each in error.every:
                self._document.report(each.message, ("fields", *each.where))
            return None

    def _compile_award_key(self) -> Render | None:
        if "award_key" not in self._content:
            return None
        action = str(self._content.get("action"))
        try:
            value = expand({"award_key": self._content["award_key"]})
            check_award_key(action, (self._actions or {}).get(action), value["award_key"])
            render = compile_mapping(value)
        except InvalidMapping as error:
            for each in error.every:
                self._document.report(each.message, each.where or ("award_key",), of_value=True)
            return None

        def award_key(call: Map[str, object]) -> object:
            made = render(call)
            return made.get("award_key", MISSING) if isinstance(made, dict) else MISSING

        return award_key

    def _check_values(self, fields: dict[str, object]) -> None:
        action = str(self._content.get("action"))
        if self._actions is not None and action in self._actions:
            for error in misfits(action, self._actions[action], fields):
                where = ("fields", *error.where)
                self._document.report(error.message, where, of_value=True)

    def _warn(self, seen: Seen | None) -> None:
        if seen is None:
            return
        values: dict[str, object] = {
            key: self._content[key] for key in ("fields", "award_key") if key in self._content
        }
        for each in dead_paths(self._content["trigger"], expand(values), seen):
            remedy = f"Correct it, or add an event that has it to fixtures/{self._source}."
            if each.near:
                remedy = f"Did you mean {each.near}?"
            self._document.report(
                f"no fixture has {each.path}. {remedy}",
                each.where,
                offset=each.offset,
                severity="warning",
            )


_WANTED = {
    "string": "text",
    "object": "an object: a line for each field",
    "boolean": "true or false",
}


def _explain(error: jsonschema.ValidationError) -> str:
    """What a JSON Schema validator found, in the words of somebody who writes mappings."""
    if not error.path:
        return "a mapping has a line for each of its keys. Begin with name: and what you call it."
    name = error.path[0]
    rule = str(error.validator_value)
    if name == "max_age":
        return "max_age is a whole number and a unit: 12h or 7d, for example (s, m, h, d, w)."
    if error.validator == "type" and error.instance is not None:
        return f"{name} must be {_WANTED[rule]}."
    if error.validator == "maxLength":
        return f"{name} has at most {rule} characters. Shorten it."
    return f"{name} must not be empty."
