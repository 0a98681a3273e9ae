"""Samples are calls from files, by which a new mapping's author sees what there is to choose."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from marshmallow import ValidationError
from marshmallow.fields import Field

from destination.cli import call_files
from destination.mapping import expand, transform
from destination.model.event import TYPES
from destination.partners.base.source import Source
from destination.support.json_codec import Json

#: The types of calls that have a name of their own, and where it stands.
NAMED = {"track": "event", "page": "name", "screen": "name"}

#: What no field is filled from.
_UNINTERESTING = ("type", "messageId", "integrations")

#: Objects inside one another that are looked into.
_DEEPEST = 4


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One call, from a file."""

    file: Path
    type: str
    #: Which event it is: `Order Completed`; None for a type that has no names.
    name: str | None
    call: dict[str, Json]
    #: A fixture that is sent, not one that shows why something is not.
    good: bool


def read_samples(folder: Path, source: Source) -> list[Sample]:
    """The calls below a folder that are of a known type, good ones first; none without a folder.

    Raises Problem for a file that cannot be read.
    """
    paths = sorted(folder.rglob("*.json")) if folder.is_dir() else []
    found = [sample for path in paths for sample in _read_file(path, source)]
    return sorted(found, key=lambda sample: not sample.good)


def names(samples: Sequence[Sample], type_: str) -> list[str]:
    """The names of the events of a type, the most frequent first."""
    found = Counter(each.name for each in samples if each.type == type_ and each.name)
    return [name for name, _ in found.most_common() if name]


def paths(samples: Sequence[Sample], field: Field[object]) -> dict[str, Json]:
    """The paths in samples to what a field can take, each with a value that is found there."""
    found: dict[str, Json] = {}
    for sample in samples:
        for path, value in _paths(sample.call, "$", 0):
            known = transform(expand(path), sample.call)
            if path not in found and known is value and _takes(field, value):
                found[path] = value
    return dict(sorted(found.items(), key=lambda item: item[0].startswith("$.context")))


def _read_file(path: Path, source: Source) -> Iterator[Sample]:
    for file_call in call_files.read_all([str(path)], source):
        call = file_call.call
        kind = call.get("type") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(kind, str) or kind not in TYPES:
            continue
        name = call.get(NAMED.get(kind, ""))
        yield Sample(
            file=path,
            type=kind,
            name=name if isinstance(name, str) else None,
            call=call,
            good=file_call.expect is None or file_call.expect.get("outcome") == "accepted",
        )


def _paths(found: dict[str, Json], before: str, depth: int) -> Iterator[tuple[str, Json]]:
    for key, value in found.items():
        if depth == 0 and key in _UNINTERESTING:
            continue
        path = f"{before}.{key}" if re.fullmatch(r"[\w-]+", key) else f'{before}["{key}"]'
        yield path, value
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _paths(value, path, depth + 1)


def _takes(field: Field[object], value: Json) -> bool:
    """Whether a field would be sent with a value: null and empty texts are not worth a path."""
    if value is None or value == "":
        return False
    try:
        field.deserialize(value)
    except ValidationError:
        return False
    return True
