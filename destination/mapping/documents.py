"""A document is one mapping file as it is written: its content, and where each part stands."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from destination.mapping.bounds import Where

#: A mapping file is small; a larger one is something else.
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What lint says of a mapping file: what is wrong, where, and what to write."""

    path: Path
    #: Both count from 1.
    line: int
    column: int
    message: str
    #: A file with an error is not taken. A warning says what is likely to be a mistake.
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.path}:{self.line}:{self.column}: {mark}{self.message}"


#: What the reader of YAML says, and what it means to somebody who writes mappings.
_YAML_FAULTS = {
    "found character '@'": 'a directive is put in quotes. Write "@if": with quotes around its name',
    "found character '\\t'": "a tab stands here. Indent with spaces",
    "found character": "a text cannot begin with this character. Put it in quotes",
    "could not find expected ':'": "a colon is missing on this line, or the blank behind it. "
    "Write the key, a colon, a blank and the value",
    "found undefined alias": "a text that begins with * is put in quotes",
    "mapping values are not allowed": 'no ":" belongs here. Put a text that has ": " in it in '
    "quotes; the keys of one object stand in one column below one another, and each has its colon",
    "expected <block end>, but found '<scalar>'": "something stands behind the end of a value. "
    "Put the whole value in one pair of quotes",
    "expected <block end>": "this line stands in another column than those that it belongs to",
    "found unexpected end of stream": "a quote is opened and never closed. Close it",
    "expected ',' or": "a bracket is opened and not closed, or a comma is missing",
    "but found another document": "a file holds one mapping. Put what is behind --- in another",
}

_TAG = "tag:yaml.org,2002:"

#: A file may say of which version of YAML it is; the reader knows these two.
_OTHER_VERSION = re.compile(r"^%YAML(?!\s+1\.[12]\b)", re.MULTILINE)

#: What is one character of a text, by the way in which the text is written. Blanks are left out:
#: a text over several lines is written with others than it has.
_WRITTEN = {
    "'": re.compile(r"''|\S"),
    '"': re.compile(r"\\(?:x..|u[dD][c-fC-F]..|u....|U.{8}|[^nrt\s])|[^\s\\]"),
    None: re.compile(r"\S"),
}
_LOW_HALF = re.compile(r"\\u[dD][c-fC-F]")


class Document:
    """One mapping file. Its `findings` are those so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        #: Whether it could be read at all.
        self.legible = True
        self._text = ""
        self._keys: dict[Where, Node] = {}
        self._values: dict[Where, Node] = {}
        #: What is wrong with them is told already; whatever else is wrong comes of it.
        self._unreadable: set[Where] = set()
        #: Plain JSON values; None where the file cannot be read.
        self.content: object = self._load()

    @property
    def has_errors(self) -> bool:
        """Whether there is more than warnings."""
        return any(finding.severity == "error" for finding in self.findings)

    def report(
        self,
        message: str,
        where: Where = (),
        *,
        of_value: bool = False,
        offset: int | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        """Note a finding about the part that `where` leads to, or of what is nearest to it: at its
        key, at its value, or at the character `offset` of its text.
        """
        if where not in self._unreadable:
            line, column = self._place(where, of_value, offset)
            self._report_at(line, column, message, severity)

    def _report_at(
        self, line: int, column: int, message: str, severity: Literal["error", "warning"] = "error"
    ) -> None:
        finding = Finding(
            path=self.path, line=line, column=column, message=message, severity=severity
        )
        if finding not in self.findings:
            self.findings.append(finding)

    def _unread(self, message: str, where: Where) -> None:
        self.report(message, where, of_value=True)
        self._unreadable.add(where)

    def _load(self) -> object:
        try:
            self._text = self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            self.legible = False
            self.report(
                f"it cannot be read: {error.strerror}. Let the user that the service runs as read "
                "it, or take it away."
            )
            return None
        except UnicodeDecodeError as error:
            self.report(f"the file cannot be read as UTF-8 text: {error}.")
            return None
        if len(self._text) > MAX_BYTES:
            self.report(f"the file has {len(self._text):,} characters; {MAX_BYTES:,} are allowed.")
            return None
        if version := _OTHER_VERSION.search(self._text):
            line = self._text.count("\n", 0, version.start()) + 1
            self._report_at(line, 1, "this is not YAML 1.2. Take this line out.")
            return None
        try:
            yaml = YAML(typ="safe", pure=True)
            root = yaml.compose(self._text)
            return None if root is None else self._plain(root, (), yaml)
        except MarkedYAMLError as error:
            message, mark = _in_our_words(error)
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self._report_at(line, column, f"this is not YAML: {message}.")
        except (YAMLError, RecursionError, ValueError) as error:
            self.report(f"this is not YAML: {error}.")
        return None

    def _plain(self, node: Node, where: Where, yaml: YAML) -> object:
        self._values[where] = node
        if node.anchor is not None:
            self._unread("a YAML anchor (&name) is not taken. Write out what it means.", where)
            return None
        kind = str(node.tag).removeprefix(_TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return self._object(node, where, yaml)
        if isinstance(node, SequenceNode) and kind == "seq":
            return [
                self._plain(item, (*where, index), yaml) for index, item in enumerate(node.value)
            ]
        if isinstance(node, ScalarNode) and kind == "str":
            return self._joined(node, where)
        if isinstance(node, ScalarNode) and kind in ("null", "bool", "int", "float"):
            return self._scalar(node, where, yaml)
        self._unread(f"this is read as {_kind(kind)}. Put it in quotes.", where)
        return None

    def _scalar(self, node: ScalarNode, where: Where, yaml: YAML) -> object:
        """A number, true, false or null, which may be marked as what it is not: `!!bool maybe`."""
        try:
            found = yaml.constructor.construct_object(node)
            str(found)  # some have more digits than can be written
        except (ValueError, LookupError):
            word, remedy = "a number", "Put it in quotes"
            if node.tag == _TAG + "bool":
                word, remedy = "true or false", "Write true or false"
            message = f"this cannot be read as {word}. {remedy}, with no !! before it."
            self._unread(message, where)
            return None
        return found

    def _object(self, node: MappingNode, where: Where, yaml: YAML) -> object:
        content: dict[str, object] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            line, column = mark.line + 1, mark.column + 1
            if key_node.tag not in (_TAG + "str", _TAG + "int"):
                message = "a key is a text. Put it in quotes, and a {{ template }} as well."
                self._report_at(line, column, message)
                self._unreadable.add(where)
                continue
            key = self._joined(key_node, where)
            if key in content:
                self._report_at(line, column, f"the key {key} stands here twice. Take one out.")
                continue
            self._keys[*where, key] = key_node
            content[key] = self._plain(value_node, (*where, key), yaml)
        return content

    def _joined(self, node: ScalarNode, where: Where) -> str:
        """JSON writes some characters as two halves, which YAML does not join."""
        try:
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._unread("half of a character stands alone. Write the whole one.", where)
        return str(node.value)

    def _place(self, where: Where, of_value: bool, offset: int | None) -> tuple[int, int]:
        """Both count from 1."""
        near = where
        while near and near not in self._values:
            near = near[:-1]
        node = self._values.get(near)
        if node is None:
            return 1, 1
        if offset is not None and isinstance(node, ScalarNode):
            return self._place_in(node, offset)
        # Behind the end of what is written, such as `$.email`, it is the value that is meant.
        of_value = of_value or (near != where and isinstance(node, ScalarNode))
        mark = (node if of_value else self._keys.get(near, node)).start_mark
        return mark.line + 1, mark.column + 1

    def _place_in(self, node: ScalarNode, offset: int) -> tuple[int, int]:
        """Where the character `offset` of a text stands in the file."""
        start, end = node.start_mark.index, node.end_mark.index
        if node.style in ("'", '"'):
            start, end = start + 1, end - 1
        elif node.style in ("|", ">"):
            start = self._text.index("\n", start)
        pattern = _WRITTEN.get(node.style, _WRITTEN[None])
        written = [
            each
            for each in pattern.finditer(self._text, start, end)
            if node.style != '"' or not _LOW_HALF.match(each[0])
        ]
        before = sum(not each.isspace() for each in node.value[:offset])
        if before < len(written):
            index = written[before].start()
        else:
            index = written[-1].end() if written else start
        line_start = self._text.rfind("\n", 0, index) + 1
        return self._text.count("\n", 0, index) + 1, index - line_start + 1


def _in_our_words(error: MarkedYAMLError) -> tuple[str, StringMark | None]:
    """What is wrong, and where: of what is never closed, the place where it is opened; of a key
    without a colon, the key.
    """
    said = error.problem or error.context or "it cannot be read"
    ours = next((ours for theirs, ours in _YAML_FAULTS.items() if said.startswith(theirs)), said)
    marks = [error.problem_mark, error.context_mark]
    if any(each in said for each in ("found unexpected end", "<stream end>", "could not find")):
        marks.reverse()
    return ours, marks[0] or marks[1]


def _kind(tag: str) -> str:
    if tag == "timestamp":
        return "a date"
    return "an instruction to YAML" if tag.startswith("!") else "another YAML type"
