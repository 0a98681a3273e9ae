"""A draft is a mapping file before it is there: checked beside the others, and never over one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory

from destination.app import Setup
from destination.errors import Problem
from destination.mapping import files
from destination.mapping.documents import Finding
from destination.mapping.files import Mapping
from destination.mapping.yaml_writer import written
from destination.support.json_codec import is_unicode


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A mapping file that could be written."""

    name: str
    path: Path
    text: str


def directions(setup: Setup) -> list[str]:
    """Every way that a mapping can lead: `segment-to-rehook`."""
    return [
        f"{source}-to-{destination}"
        for source in setup.sources
        for destination in setup.destinations
        if source != destination
    ]


def directions_in_use(setup: Setup) -> list[str]:
    """Those that calls can take as the settings are, and that the folder has files for already;
    where it has none for them, all of those.
    """
    sending = {name for name, source in setup.sources.items() if source.protected}
    taking = {name for name, destination in setup.destinations.items() if destination.in_use}
    used = [
        way
        for way in directions(setup)
        if way.partition("-to-")[0] in {setup.segment.name, *sending}
        and way.partition("-to-")[2] in taking
    ]
    return [way for way in used if (setup.settings.mappings / way).is_dir()] or used


def mappings(setup: Setup) -> list[Mapping]:
    """The mappings of the folder that pass lint; none where there is no folder yet."""
    return setup.read_mappings(setup.settings.mappings)[0]


def draft(setup: Setup, direction: str, content: dict[str, object]) -> Draft:
    """What would be written for a mapping, and where.

    Raises Problem when its name or its file is taken, or when it is no text that can be kept.
    """
    name, text = str(content["name"]), written(content)
    if not is_unicode(text):
        raise Problem(f"{name!r} holds half of a character. Write the whole one.")
    return Draft(path=path_for(setup, direction, name), name=name, text=text)


def path_for(setup: Setup, direction: str, name: str) -> Path:
    """The file of a new mapping, which is named for it: `order-completed.yaml`.

    Raises Problem when the name or the file is taken.
    """
    path = setup.settings.mappings / direction / f"{_slug(name)}.yaml"
    for other in mappings(setup):
        if (other.destination, other.name) == (direction.partition("-to-")[2], name):
            raise Problem(
                f"{other.path} is named {name!r} too. Give this one another name, or take "
                "that file away first."
            )
    if path.exists():
        raise Problem(f"{path} is there already. Give this mapping another name.")
    return path


def free_name(setup: Setup, direction: str, name: str) -> str:
    """A name that is not taken: `Order Completed`, or else `Order Completed 2`."""
    names = chain([name], (f"{name} {number}" for number in count(2)))
    return next(each for each in names if _is_free(setup, direction, each))


def _is_free(setup: Setup, direction: str, name: str) -> bool:
    try:
        path_for(setup, direction, name)
    except Problem:
        return False
    return True


def findings(setup: Setup, drafts: Sequence[Draft]) -> list[Finding]:
    """What lint would say of the drafts, were they written, and does not say without them."""
    folder = setup.settings.mappings
    with TemporaryDirectory() as temporary:
        trial = Path(temporary) / folder.name
        for path in files.files(folder):
            _copy(_bytes(path), trial / path.relative_to(folder))
        _, before = setup.read_mappings(trial)
        for each in drafts:
            _copy(each.text.encode(), trial / each.path.relative_to(folder))
        return [
            replace(
                finding,
                path=folder / finding.path.relative_to(trial),
                message=finding.message.replace(str(trial), str(folder)),
            )
            for finding in setup.read_mappings(trial)[1]
            if finding not in before
        ]


def write(drafts: Sequence[Draft]) -> None:
    """Write drafts, each to a file that was not there. Raises Problem where one is."""
    for each in drafts:
        each.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with each.path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(each.text)
        except FileExistsError as error:
            raise Problem(
                f"{each.path} is there already. Give the mapping another name."
            ) from error
        except OSError as error:
            raise Problem(f"{each.path} cannot be written: {error.strerror}.") from error


def _slug(name: str) -> str:
    """A file's name: `Order Completed` is `order-completed`."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-")[:60] or "mapping"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}. See destination lint.") from error


def _copy(content: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
