"""`destination init` writes what a user edits, and never over anything."""

import pytest
from click.testing import CliRunner

from destination import partners
from destination.app import Setup
from destination.cli import main
from destination.settings.tables import Environment, Settings, Table, rows
from tests.conftest import ROOT


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("DESTINATION_MAPPINGS")
    return lambda *command: CliRunner().invoke(main, command, catch_exceptions=False)


def shipped():
    folder = ROOT / "mappings"
    return {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}


def test_each_preset_is_written(run, tmp_path):
    assert run("init").exit_code == 0

    for path, original in shipped().items():
        assert (tmp_path / "mappings" / path).read_bytes() == original.read_bytes()


def test_what_is_written_passes_lint(run):
    run("init")

    assert "all well" in run("lint").output


def test_a_folder_is_made(run, tmp_path):
    result = run("init", "a/b c")

    assert (tmp_path / "a" / "b c" / "mappings" / ".schema.json").is_file()
    assert "  cd 'a/b c'\n" in result.output


def test_what_is_there_is_left_and_named(run, tmp_path):
    mine = tmp_path / "mappings" / "segment-to-rehook" / "track-event.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / ".env").write_text("DESTINATION_PORT=9000\n")

    result = run("init")

    assert result.exit_code == 0
    assert mine.read_text() == "mine"
    assert (tmp_path / ".env").read_text() == "DESTINATION_PORT=9000\n"
    left = [line for line in result.output.splitlines() if line.startswith("  mappings/")]
    assert left == ["  mappings/segment-to-rehook/track-event.yaml"]
    assert "  .env\n" in result.output


def test_the_second_time_nothing_is_written(run):
    run("init")
    result = run("init")

    assert result.exit_code == 0
    assert f"Written: 0 of {len(shipped()) + 1} files" in result.output


def test_a_link_that_leads_nowhere_is_left(run, tmp_path):
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")

    assert "  .env\n" in run("init").output
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_way_is_told(run, tmp_path):
    (tmp_path / "mappings").write_text("")

    result = run("init")

    assert result.exit_code == 1
    assert "mappings cannot be made: a file is in its way. Move it." in result.output


def test_the_example_sets_nothing(run):
    run("init")

    assert Environment.load({}).values == {}


def test_each_default_of_the_example_is_the_default(run, tmp_path):
    run("init")
    example = tmp_path / ".env"
    example.write_text(example.read_text().replace("#DESTINATION_", "DESTINATION_"))

    environment = Environment.load({})
    tables: list[type[Table]] = [Settings, *partners.tables()]
    for table in tables:
        assert environment.read(table) == table()
        for name, _ in rows(table):
            assert f"\n{name}=" in example.read_text()
    assert Setup.read({}).settings == Settings()


def test_only_its_owner_may_read_the_example(run, tmp_path):
    run("init")

    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_without_mappings_the_remedy_is_named(run):
    assert "`destination init` writes a folder of mappings here" in run("lint").output
