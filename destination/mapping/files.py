"""Mapping files: YAML or JSON, one mapping a file, a folder per direction.

`mappings/segment-to-rehook/identify-user.yaml` maps what `segment` sends to what `rehook` takes.
A file is read, checked and compiled once; every fault names its file, line and remedy.
"""

from collections.abc import Callable, Collection, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from marshmallow import Schema
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.tokens import AliasToken, AnchorToken

from destination.errors import InvalidMapping, InvalidTrigger
from destination.mapping import compile_mapping, compile_trigger, expand
from destination.wording import did_you_mean

#: A mapping file is small; a larger one is something else.
MAX_BYTES = 256 * 1024

#: What a mapping file holds.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "action", "trigger", "fields"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "description": {"type": "string"},
        "enabled": {"type": "boolean"},
        "action": {"type": "string"},
        "trigger": {"type": "string", "minLength": 1},
        "fields": {"type": "object", "minProperties": 1},
    },
}

#: The actions that a mapping can name, with their fields: destination → action → fields.
Actions = Map[str, Map[str, Schema]]

#: Whether a mapping fires on a call.
Matches = Callable[[Map[str, Any]], bool]

#: The fields that a mapping makes of a call; MISSING, or no object, where it makes none.
Render = Callable[[Map[str, Any]], Any]

Where = Sequence[str | int]


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
    fields: dict[str, Any]
    matches: Matches
    render: Render


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a mapping file, where, and what to write."""

    path: Path
    #: Both count from 1.
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


def load_mappings(folder: Path, sources: Collection[str], actions: Actions) -> list[Mapping]:
    """The mappings of a folder, in the order of their file names.

    Raises InvalidMapping that lists every fault, a line each.
    """
    mappings, faults = read_mappings(folder, sources, actions)
    if faults:
        raise InvalidMapping("\n".join(map(str, faults)))
    return mappings


def read_mappings(
    folder: Path, sources: Collection[str], actions: Actions
) -> tuple[list[Mapping], list[Fault]]:
    """The mappings of a folder that can be used, and what is wrong with the others."""
    if not folder.is_dir():
        message = "there is no such folder. DESTINATION_MAPPINGS names the folder of mappings."
        return [], [Fault(path=folder, line=1, column=1, message=message)]
    mappings: list[Mapping] = []
    faults: list[Fault] = []
    for path in files(folder):
        reader = _Reader(path)
        mapping = reader.read(sources, actions)
        if mapping:
            reader.refuse_twin(mapping, mappings)
            mappings.append(mapping)
        faults += reader.faults
    if not mappings and not faults:
        message = "there is no mapping in it: add one, such as segment-to-rehook/order.yaml."
        faults.append(Fault(path=folder, line=1, column=1, message=message))
    return mappings, faults


def files(folder: Path) -> list[Path]:
    """The mapping files below a folder, in the order of their names."""
    return sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix in (".yaml", ".yml", ".json") and not path.name.startswith(".")
    )


class _Reader:
    """Reads one file, and gathers its faults as it goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self._document: Any = None

    def read(self, sources: Collection[str], actions: Actions) -> Mapping | None:
        """The mapping, compiled; or None, and the faults say why."""
        source, _, destination = self.path.parent.name.partition("-to-")
        if source not in sources or destination not in actions:
            self._fault(
                f"the folder {self.path.parent.name} names no direction that we know. "
                f"Write one of {', '.join(f'{s}-to-{d}' for s in sources for d in actions)}."
            )
            return None
        content = self._parse()
        if not self.faults:
            self._check_shape(content)
        if not self.faults:
            self._check_fields(content, destination, actions[destination])
        if self.faults:
            return None
        matches, render = self._compile_trigger(content), self._compile_fields(content)
        if matches is None or render is None:
            return None
        return Mapping(
            name=content["name"],
            source=source,
            destination=destination,
            action=content["action"],
            path=self.path,
            enabled=content.get("enabled", True),
            trigger=content["trigger"],
            fields=expand(content["fields"]),
            matches=matches,
            render=render,
        )

    def refuse_twin(self, mapping: Mapping, others: Sequence[Mapping]) -> None:
        """A mapping fires once for an event: by its name, which no other may have."""
        for other in others:
            if (other.destination, other.name) == (mapping.destination, mapping.name):
                self._fault(
                    f"{other.path} is named {other.name!r} too. Give this one another name.",
                    "name",
                )

    def _parse(self) -> Any:
        """The file's content as plain JSON values."""
        try:
            text = self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            self._fault(f"the file cannot be read as UTF-8 text: {error}.")
            return None
        if len(text) > MAX_BYTES:
            self._fault(f"the file has {len(text):,} characters; {MAX_BYTES:,} are allowed.")
            return None
        try:
            yaml = YAML(typ="rt")
            if any(isinstance(token, AnchorToken | AliasToken) for token in yaml.scan(text)):
                self._fault("the file uses a YAML anchor or alias (&name, *name): write it out.")
                return None
            self._document = yaml.load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self._fault_at(line, column, f"this is not YAML: {error.problem or error.context}.")
            return None
        except (YAMLError, RecursionError, ValueError) as error:
            self._fault(f"this is not YAML: {error}.")
            return None
        return self._plain(self._document, ())

    def _plain(self, node: Any, where: Where) -> Any:
        if isinstance(node, CommentedMap):
            return {self._key(key, where): self._plain(node[key], (*where, key)) for key in node}
        if isinstance(node, CommentedSeq):
            return [self._plain(item, (*where, index)) for index, item in enumerate(node)]
        if isinstance(node, bool) or node is None:
            return node
        if isinstance(node, str):
            return self._text(node, where)
        for kind in (int, float):
            if isinstance(node, kind):
                return kind(node)
        self._fault("this is read as a date or another YAML type. Put it in quotes.", *where)
        return None

    def _key(self, key: Any, where: Where) -> str:
        if isinstance(key, str | int) and not isinstance(key, bool):
            return str(key)
        self._fault("a key is a text. Put it in quotes, and a {{ template }} as well.", *where)
        return ""

    def _text(self, text: str, where: Where) -> str:
        """JSON writes some characters as two halves, which YAML does not join."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._fault("half of a character stands alone. Write the whole one.", *where)
            return ""

    def _check_shape(self, content: Any) -> None:
        validator = jsonschema.Draft202012Validator(SCHEMA)
        for error in validator.iter_errors(content):
            if error.validator == "additionalProperties":
                for key in set(content) - set(SCHEMA["properties"]):
                    hint = did_you_mean(key, SCHEMA["properties"])
                    self._fault(f"unknown key {key}. {hint}", key)
            elif error.validator != "required":
                self._fault(_explain(error), *error.path)
        for key in SCHEMA["required"] if isinstance(content, dict) else ():
            if key not in content:
                self._fault(f"the mapping needs the key {key}. Add it.")
        self.faults.sort(key=lambda fault: fault.line)

    def _check_fields(
        self, content: dict[str, Any], destination: str, actions: Map[str, Schema]
    ) -> None:
        action = content["action"]
        if action not in actions:
            hint = did_you_mean(action, actions)
            self._fault(f"{destination} has no action {action}. {hint}", "action")
            return
        known = actions[action].fields
        for name in content["fields"]:
            if name not in known:
                hint = did_you_mean(name, known)
                self._fault(f"{action} has no field {name}. {hint}", "fields", name)
        for name, field in known.items():
            if field.required and name not in content["fields"]:
                self._fault(f"{action} needs the field {name}. Add it.", "fields")

    def _compile_trigger(self, content: dict[str, Any]) -> Matches | None:
        try:
            return compile_trigger(content["trigger"])
        except InvalidTrigger as error:
            self._fault(error.message, "trigger", offset=error.position)
            return None

    def _compile_fields(self, content: dict[str, Any]) -> Render | None:
        try:
            return compile_mapping(expand(content["fields"]))
        except InvalidMapping as error:
            self._fault(error.message, "fields", *error.where)
            return None

    def _fault(self, message: str, *where: str | int, offset: int = 0) -> None:
        line, column = _place(self._document, where)
        self._fault_at(line, column + offset, message)

    def _fault_at(self, line: int, column: int, message: str) -> None:
        self.faults.append(Fault(path=self.path, line=line, column=column, message=message))


def _explain(error: jsonschema.ValidationError) -> str:
    """What a JSON Schema validator found, in the words of somebody who writes mappings."""
    name = ".".join(map(str, error.path)) or "the mapping"
    if error.validator == "type":
        wanted = {"string": "text", "object": "an object of fields", "boolean": "true or false"}
        rule: Any = error.validator_value
        return f"{name} must be {wanted[rule]}."
    return f"{name} must not be empty."


def _place(document: Any, where: Where) -> tuple[int, int]:
    """The line and column of what `where` leads to, or of the nearest thing around it."""
    line, column = 0, 0
    for key in where:
        try:
            if isinstance(document, CommentedMap):
                of_value = key == "trigger"  # its text begins where the value does
                line, column = document.lc.value(key) if of_value else document.lc.key(key)
            else:
                line, column = document.lc.item(key)
            document = document[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line + 1, column + 1
