"""Bad mapping files, each with exactly what lint says of it in the file beside it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from destination.cli import main

FOLDER = Path(__file__).parent / "bad" / "segment-to-rehook"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_lint_says_of_a_bad_file_what_is_written_beside_it(path, monkeypatch):
    monkeypatch.chdir(FOLDER)

    result = CliRunner().invoke(main, ["lint", path.name], catch_exceptions=False)

    assert result.output == path.with_suffix(".expected").read_text()
    assert result.exit_code == (1 if "error" in result.output.splitlines()[-1] else 0)


def test_every_expectation_has_its_file():
    assert {path.stem for path in FOLDER.glob("*.expected")} == {path.stem for path in FILES}


def test_a_service_does_not_start_with_a_file_that_lint_refuses(setup, tmp_path):
    for path in FILES:
        mine = tmp_path / path.stem / "segment-to-rehook"
        mine.mkdir(parents=True)
        (mine / path.name).write_text(path.read_text())
        refused = "error" in path.with_suffix(".expected").read_text().splitlines()[-1]

        if refused:
            with pytest.raises(Exception, match=path.name):
                setup(MAPPINGS=str(mine.parent)).routes()
        else:
            assert setup(MAPPINGS=str(mine.parent)).routes()
