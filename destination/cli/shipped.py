"""The files that come with the program: mapping files to begin with, and calls to practise on."""

from importlib import resources
from pathlib import Path

_PACKAGE = Path(str(resources.files("destination")))


def presets() -> Path:
    """The folder of mapping files, with one folder per direction in it."""
    return _folder("presets", "mappings")


def practice() -> Path:
    """The folder of fixtures, with one folder per source in it."""
    return _folder("practice", "fixtures")


def _folder(installed: str, source: str) -> Path:
    """The wheel has it inside the package; in the repository it stands beside the package."""
    inside = _PACKAGE / installed
    return inside if inside.is_dir() else _PACKAGE.parent / source
