"""Mapping files are written for people: a change leaves everything else as its author wrote it."""

import io

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from destination.errors import Problem

#: The order in which the keys of a mapping file are written.
_ORDER = ("name", "description", "action", "trigger", "enabled", "fields")


#: Texts that some readers of YAML take for true or false.
_LOOK_ALIKES = ("yes", "no", "on", "off", "y", "n")


class _Representer(RoundTripRepresenter):
    """Texts and null as the documentation writes them."""


def _represent_text(representer: _Representer, text: str) -> ScalarNode:
    special = text[:1] in ("@", "{") and not {'"', "\\"} & set(text)
    # Breaks of a line that YAML folds come back as they are only in double quotes.
    quoted = special or not text.isprintable() or text.lower() in _LOOK_ALIKES
    return _scalar(representer, "str", text, style='"' if quoted else None)


def _represent_null(representer: _Representer, _: None) -> ScalarNode:
    return _scalar(representer, "null", "null")


def _scalar(representer: _Representer, tag: str, text: str, style: str | None = None) -> ScalarNode:
    node: ScalarNode = representer.represent_scalar(f"tag:yaml.org,2002:{tag}", text, style=style)
    return node


_Representer.add_representer(str, _represent_text)
_Representer.add_representer(type(None), _represent_null)


def written(content: dict[str, object]) -> str:
    """Write a new mapping file: YAML, its keys in the order in which the files that ship have them.

    `content` is what the file holds, in plain JSON values; keys that are None are left out.
    """
    return as_yaml({key: content[key] for key in _ORDER if content.get(key) is not None})


def as_yaml(value: object) -> str:
    """Write plain JSON values as YAML, each line whole however long it is."""
    yaml = YAML(typ="rt", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("...\n")


def switched(text: str, *, enabled: bool) -> str:
    """Return a mapping file's text with the mapping switched on or off, and no other change.

    Comments, order, quotes and blanks stay: the word behind `enabled:` is replaced, or a line
    is added below the name. It is for a file that passes lint. Raises Problem where it cannot
    be done, and says what to write by hand.
    """
    word = "true" if enabled else "false"
    changed = _replaced(text, word)
    if _content(changed) != {**_content(text), "enabled": enabled}:
        raise Problem(f"The file is written in an unusual way: write enabled: {word} by hand.")
    return changed


def _replaced(text: str, word: str) -> str:
    root = YAML(typ="rt", pure=True).compose(text)
    places = {key.value: (key, value) for key, value in root.value}
    if "enabled" in places:
        _, value = places["enabled"]
        return text[: value.start_mark.index] + word + text[value.end_mark.index :]
    key, value = places["name"]
    return _added(text, word, root, key, value.end_mark.index)


def _added(text: str, word: str, root: MappingNode, key: Node, end: int) -> str:
    """Add `enabled` behind the name, whose value ends at `end`: in braces, or on a line."""
    start = key.start_mark.index
    line_start = text.rfind("\n", 0, start) + 1
    indent = text[line_start:start]
    if root.flow_style:
        gap = "\n" + indent if line_start and not indent.strip() else " "
        return f'{text[:end]},{gap}"enabled": {word}{text[end:]}'
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * key.start_mark.column
    if text[end - 1] != "\n":  # a note may follow on the name's line
        end = text.find("\n", end) + 1
    if not end:
        return f"{text}{newline}{indent}enabled: {word}{newline}"
    return f"{text[:end]}{indent}enabled: {word}{newline}{text[end:]}"


def _content(text: str) -> dict[str, object]:
    try:
        content: dict[str, object] = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return {}
    return content
