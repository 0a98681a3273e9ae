"""Calls that are read from files, folders and standard input, to replay or to preview.

A file holds one call, a JSON list of them, `{"batch": [...]}`, or one call a line; it may be
gzipped. A fixture is a file that says beside its call what is expected of it:

    {"description": "…", "expect": {"outcome": "discarded", "reason": "id_required"},
     "before": [calls that are sent first], "call": {…}}

with `"body": "text"` in place of `call` for what is not JSON.
"""

import gzip
import io
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Required, TypedDict, cast

from destination.errors import Problem, Refused
from destination.partners.base.source import Source
from destination.partners.segment import read_calls
from destination.support import json_codec
from destination.support.json_codec import Json

#: Lines with their numbers.
Lines = Iterator[tuple[int, str]]

_SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")


@dataclass(frozen=True, kw_only=True)
class FileCall:
    """One call that stands in a file, or on standard input."""

    #: Where it is from: `order-completed.json`, `export.ndjson:17`.
    name: str
    #: The call, or why it cannot be read.
    call: Json | Refused
    #: The call as JSON text, or as it stands where it cannot be read.
    text: str
    #: What a fixture expects: `{"outcome": "accepted"}`.
    expect: dict[str, Json] | None = None
    #: What a fixture sends first, as JSON texts.
    before: tuple[str, ...] = ()


class _Fixture(TypedDict, total=False):
    expect: Required[dict[str, Json]]
    #: The call, or the text of what is sent in its place.
    call: Json
    body: str
    before: list[Json]


def read_all(paths: Iterable[str], source: Source | None = None) -> Iterator[FileCall]:
    """The calls of files and folders, in order; `-` is standard input. With a source, each is
    what that source makes of the text: a notice of an engine is a call of one of its members.

    Raises Problem for a path that cannot be read.
    """
    for given in paths:
        if given == "-":
            with opened(given) as lines:
                yield from _as_sent(read(lines, "-"), source)
            continue
        path = Path(given)
        for file in _below(path) if path.is_dir() else [path]:
            name = file.name if file == path else str(file.relative_to(path))
            with opened(str(file)) as lines:
                yield from _as_sent(read(lines, name), source)


@contextmanager
def opened(given: str) -> Iterator[Lines]:
    """The lines of a file that are not blank, with their numbers, unpacked where it is gzipped;
    `-` is standard input. Raises Problem when it cannot be read.
    """
    try:
        if given == "-":
            with _lines(io.BufferedReader(sys.stdin.buffer)) as lines:  # type: ignore[arg-type]
                yield lines
        else:
            with Path(given).open("rb") as stream, _lines(stream) as lines:
                yield lines
    except UnicodeDecodeError as error:
        raise Problem(f"{given} is not UTF-8 text.") from error
    except (OSError, EOFError) as error:
        raise Problem(f"{given} cannot be read: {error}.") from error


def _as_sent(found: Iterator[FileCall], source: Source | None) -> Iterator[FileCall]:
    for file_call in found:
        if source is None or isinstance(file_call.call, Refused):
            yield file_call
            continue
        try:
            calls, _ = source.calls(file_call.text.encode())
        except Refused as refused:
            calls = [refused]
        for call in calls:
            yield replace(file_call, call=call)


def renewed(file_call: FileCall, suffix: str) -> FileCall:
    """The same as a new call: its message id, and those of what it sends before, get
    `suffix`; a call that has none gets a `sentAt` of its own, as each sending has.
    """

    def renew(text: str) -> str:
        try:
            call = json_codec.loads(text)
        except ValueError:
            return text
        wrapped = isinstance(call, dict) and call.keys() == {"json"}
        inner = call["json"] if isinstance(call, dict) and wrapped else call
        if isinstance(inner, str):
            return json_codec.dumps(inner + suffix)
        if not isinstance(inner, dict):
            return text
        if inner.get("messageId") is None:
            inner = {**inner, "sentAt": suffix}
        elif isinstance(inner["messageId"], str):
            inner = {**inner, "messageId": inner["messageId"] + suffix}
        return json_codec.dumps({"json": inner} if wrapped else inner)

    return replace(
        file_call,
        text=renew(file_call.text),
        before=tuple(renew(text) for text in file_call.before),
    )


def _below(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(_SUFFIXES))
    if not files:
        raise Problem(f"{folder} has no payloads: files that end in {', '.join(_SUFFIXES)}.")
    return files


@contextmanager
def _lines(stream: io.BufferedReader) -> Iterator[Lines]:
    zipped = stream.peek(2).startswith(b"\x1f\x8b")
    plain = gzip.GzipFile(fileobj=stream) if zipped else stream
    with io.TextIOWrapper(plain, encoding="utf-8-sig") as text:
        yield ((number, line) for number, line in enumerate(text, 1) if line.strip())


def read(lines: Lines, name: str) -> Iterator[FileCall]:
    """The calls that lines hold, read as they are needed where each line is one."""
    first, second = next(lines, None), next(lines, None)
    if first is None:
        return
    if second is not None and _complete(first[1]):
        yield from _one_a_line(itertools.chain([first, second], lines), name)
        return
    rest = [first, *([second] if second else []), *lines]
    document = "".join(line for _, line in rest)
    try:
        yield from _document(document, name)
    except Refused as refused:
        if any(_complete(line) for _, line in rest):
            yield from _one_a_line(rest, name)  # its first line alone is broken
        else:
            yield FileCall(name=name, call=refused, text=document)


def _one_a_line(lines: Iterable[tuple[int, str]], name: str) -> Iterator[FileCall]:
    for number, line in lines:
        place = f"{name}:{number}"
        try:
            yield from _document(line.strip(), place)
        except Refused as refused:
            yield FileCall(name=place, call=refused, text=line.strip())


def _document(text: str, name: str) -> Iterator[FileCall]:
    """The calls of one JSON text. Raises Refused where it cannot be read at all."""
    calls, batch = read_calls(text)
    for index, call in enumerate(calls):
        if isinstance(call, dict) and "expect" in call and ("call" in call or "body" in call):
            yield _fixture(cast(_Fixture, call), name)
        elif isinstance(call, Refused):
            yield FileCall(name=f"{name}[{index}]", call=call, text=call.text)
        else:
            place = f"{name}[{index}]" if batch else name
            yield FileCall(name=place, call=call, text=json_codec.dumps(call))


def _fixture(fixture: _Fixture, name: str) -> FileCall:
    text = json_codec.dumps(fixture["call"]) if "call" in fixture else fixture["body"]
    try:
        [call], _ = read_calls(text)
    except Refused as refused:
        call = refused
    before = tuple(json_codec.dumps(call) for call in fixture.get("before", []))
    return FileCall(name=name, call=call, text=text, expect=fixture["expect"], before=before)


def _complete(line: str) -> bool:
    """Whether a line is JSON by itself: then so is each of the others."""
    try:
        json_codec.loads(line)
    except ValueError:
        return False
    return True
