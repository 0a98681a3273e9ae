"""The package has all that it needs when it is installed alone: modules, files, dependencies."""

import ast
import re
import sys
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

from destination.cli import shipped
from tests.conftest import ROOT

CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg")

#: The folders that stand at the top of the repository, and inside the package in the wheel.
MAPPED = {"destination.presets": "mappings", "destination.practice": "fixtures"}

MODULES = sorted((ROOT / "destination").rglob("*.py"))


def lines(section: str, option: str) -> list[str]:
    return CONFIG[section][option].split("\n")[1:]


def bare(name: str) -> str:
    """A distribution's name as indexes compare it, without its extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def bounds() -> dict[str, str]:
    """The lowest version of each dependency."""
    wanted = lines("options", "install_requires") + lines("options.extras_require", "postgres")
    return {bare(name): version for name, _, version in (each.partition(">=") for each in wanted)}


def constraints(name: str) -> dict[str, str]:
    pinned = [line for line in (ROOT / name).read_text().splitlines() if line[:1] != "#"]
    return {bare(name): version for name, _, version in (each.partition("==") for each in pinned)}


def test_each_package_is_listed():
    on_disk = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for path in MODULES
        if path.name == "__init__.py"
    }

    assert lines("options", "packages") == sorted(on_disk | MAPPED.keys())


def test_each_module_stands_in_a_package():
    assert all((path.parent / "__init__.py").is_file() for path in MODULES)


def test_the_folders_at_the_top_are_mapped():
    mapped = dict(each.split(" = ") for each in lines("options", "package_dir"))

    assert mapped == MAPPED


def test_each_file_that_is_no_module_travels_in_the_wheel():
    travelling = {
        path
        for package, globs in CONFIG["options.package_data"].items()
        for glob in globs.split(", ")
        for path in (ROOT / MAPPED.get(package, package.replace(".", "/"))).glob(glob)
    }
    wanted = {
        path
        for folder in ("destination", "mappings", "fixtures/segment")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }

    assert travelling == wanted


@pytest.mark.parametrize(
    ("found", "name"), [(shipped.presets(), "mappings"), (shipped.practice(), "fixtures")]
)
def test_the_repository_has_at_its_top_what_the_wheel_has_inside(found, name):
    assert found == ROOT / name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_imported_is_declared(path: Path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    providers = metadata.packages_distributions()
    for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
        if name != "destination":
            assert {bare(each) for each in providers[name]} & bounds().keys(), name


def test_the_oldest_constraints_are_the_bounds():
    assert constraints("constraints-oldest.txt") == bounds()


def test_the_constraints_name_the_versions_that_are_tested():
    tested = constraints("constraints.txt")
    installed = {bare(each.name): each.version for each in metadata.distributions()}

    assert bounds().keys() <= tested.keys()
    for name in tested.keys() & installed.keys():
        assert (name, installed[name]) == (name, tested[name])
