"""`destination mappings`: listing, showing, making, importing and switching mapping files."""

import json
import shutil

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from destination.cli import main
from destination.mapping import expand
from tests.conftest import ROOT, copy_presets
from tests.misbehaving import answers, response, server

SUBSCRIPTION = {
    "name": "Big Order",
    "partnerAction": "trackEvent",
    "subscribe": 'type = "track" and properties.total >= 200',
    "mapping": {
        "event_name": "big_order",
        "source_id": {"@path": "$.userId"},
        "metadata": {"@path": "$.properties"},
    },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Mappings and fixtures in the working directory, as in a project."""
    monkeypatch.delenv("DESTINATION_MAPPINGS")
    copy_presets(tmp_path / "mappings")
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    return tmp_path / "mappings" / "segment-to-rehook"


@pytest.fixture
def run(folder):
    def run(*command, stdin=None):
        return CliRunner().invoke(main, ["mappings", *command], input=stdin, catch_exceptions=False)

    return run


@pytest.fixture
def lint(folder):
    return lambda: CliRunner().invoke(main, ["lint"], catch_exceptions=False)


def content(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


# list, show


def test_mappings_are_listed_for_scripts(run):
    rows = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]

    assert rows[1] == {
        "name": "Track Event",
        "direction": "segment-to-rehook",
        "action": "trackEvent",
        "trigger": 'type = "track"',
        "enabled": True,
        "file": "mappings/segment-to-rehook/track-event.yaml",
    }


def test_mappings_are_listed_for_people(run):
    run("disable", "Track Event")
    listed = run("list").output

    assert "Identify User" in listed
    assert "track-event.yaml" in listed
    assert listed.split().count("no") == 1


def test_a_file_with_faults_is_not_listed_but_said(run, folder):
    (folder / "broken.yaml").write_text("name: Broken\n")
    result = run("list", "--json")

    assert len(result.stdout.splitlines()) == 2
    assert "destination lint" in result.stderr


def test_a_mapping_is_shown_with_the_fields_of_its_action(run):
    shown = run("show", "Identify User").output

    for words in (
        "mappings/segment-to-rehook/identify-user.yaml",
        "segment → rehook",
        "identifyUser: Create or update the customer in Rehook",
        'type = "identify"',
        "Referral Code",
        "$.traits.referral_code",
    ):
        assert words in shown


def test_a_field_that_is_not_mapped_is_shown_as_well(run, folder):
    run("new", "--action", "trackEvent", "--name", "Short", "--field", "metadata=-", "--yes")

    [line] = [each for each in run("show", "Short").output.splitlines() if "metadata" in each]
    assert "nothing" in line


def test_a_mapping_is_shown_by_its_file_too(run):
    by_file = run("show", "mappings/segment-to-rehook/track-event.yaml")

    assert by_file.output == run("show", "Track Event").output


def test_a_name_that_no_mapping_has_is_said(run):
    result = run("show", "Track Evnt")

    assert result.exit_code == 1
    assert "Did you mean Track Event?" in result.output


# new


def test_status_says_what_a_receiver_says_that_is_not_ready(run):
    said = b'{"message": "The database cannot be used right now."}'
    with server(answers(response(503, said))) as url:
        result = run("status", "--url", url)

    assert result.output == f"Error: {url}/readyz says: The database cannot be used right now.\n"


def test_a_new_mapping_that_differs_by_its_name_alone_is_refused(run, folder):
    new = ("new", "--action", "trackEvent", "--event", "Level Up", "--yes")
    assert "within two seconds" in run(*new).output

    again = run(*new, "--name", "Another")
    assert again.exit_code == 1
    assert "level-up.yaml does the same, by the name 'Level Up'." in again.output
    assert run(*new, "--name", "Another", "--field", "metadata=-").exit_code == 0


def test_a_new_mapping_passes_lint(run, folder, lint):
    result = run("new", "--action", "trackEvent", "--event", "Order Completed", "--yes")

    assert result.exit_code == 0, result.output
    assert content(folder / "order-completed.yaml") == {
        "name": "Order Completed",
        "action": "trackEvent",
        "trigger": 'type = "track" and event = "Order Completed"',
        "fields": content(folder / "track-event.yaml")["fields"],
    }
    assert lint().exit_code == 0


def test_it_says_what_to_try_next_and_it_works(run, lint):
    result = run("new", "--action", "trackEvent", "--event", "Order Completed", "--yes")
    preview = ["preview", "--mapping", "Order Completed"]
    file = "fixtures/segment/valid/order-completed.json"

    assert f"destination preview --mapping 'Order Completed' {file}" in result.output
    assert "accepted" in CliRunner().invoke(main, [*preview, file]).output


def test_it_says_which_other_mapping_is_sent_beside_it(run):
    result = run("new", "--action", "trackEvent", "--event", "Order Completed", "--yes")

    assert "Track Event fires on these events too" in result.output
    assert "Identify User" not in result.output


def test_it_says_so_for_an_event_that_no_fixture_has(run):
    result = run("new", "--action", "trackEvent", "--event", "Level Up", "--yes")

    assert "Track Event fires on these events too" in result.output


def test_every_question_can_be_answered_by_an_option(run, folder):
    result = run(
        *("new", "--direction", "segment-to-rehook", "--action", "trackEvent", "--type", "page"),
        *("--event", 'The "best"', "--name", "Best Page", "--field", "event_name=best {{name}}"),
        *("--field", "source_id=$.userId", "--field", "metadata=-"),
    )

    assert result.exit_code == 0, result.output
    assert content(folder / "best-page.yaml") == {
        "name": "Best Page",
        "action": "trackEvent",
        "trigger": 'type = "page" and name = "The \\"best\\""',
        "fields": {"event_name": "best {{name}}", "source_id": "$.userId"},
    }


def test_it_asks_for_what_is_not_said(run, folder):
    answers = ["trackEvnt", "2", "track", "Order Completed", "", "big_order", "", "$.context"]
    result = run("new", stdin="\n".join(answers) + "\n")

    assert result.exit_code == 0, result.output
    assert "There is no trackEvnt. Did you mean trackEvent?" in result.output
    assert "$.properties.total" in result.output
    assert content(folder / "order-completed.yaml") == {
        "name": "Order Completed",
        "action": "trackEvent",
        "trigger": 'type = "track" and event = "Order Completed"',
        "fields": {"event_name": "big_order", "source_id": "$.userId", "metadata": "$.context"},
    }


def test_a_field_is_offered_the_paths_that_it_can_take(run):
    asked = run(
        "new", "--action", "trackEvent", "--event", "Order Completed", stdin="\n\n\n\n"
    ).output
    _, metadata = asked.split("metadata (Event Properties, optional)")

    assert "$.properties " in metadata
    assert "$.properties.total" not in metadata
    assert "send nothing" in metadata


def test_an_answer_that_cannot_be_is_asked_again(run, folder):
    event = ["--action", "trackEvent", "--event", "Order Completed"]
    result = run("new", *event, stdin="Track Event\nMine\n{{ }}\nmine\n-\n\n\n")

    assert result.exit_code == 0, result.output
    assert "track-event.yaml is named 'Track Event' too" in result.output
    assert "names no value" in result.output
    assert "source_id is required." in result.output
    assert content(folder / "mine.yaml")["fields"]["event_name"] == "mine"


def test_a_file_is_never_written_over(run, folder):
    before = (folder / "track-event.yaml").read_text()
    (folder / "mine.yaml").write_text("name: Broken\n")

    assert run("new", "--action", "trackEvent", "--name", "Mine", "--yes").exit_code == 1
    assert run("new", "--action", "trackEvent", "--name", "Track Event", "--yes").exit_code == 1
    new = ("new", "--action", "trackEvent", "--type", "page", "--yes")
    assert run(*new).exit_code == 0
    assert (folder / "track-event.yaml").read_text() == before
    assert (folder / "mine.yaml").read_text() == "name: Broken\n"
    assert content(folder / "track-event-2.yaml")["name"] == "Track Event 2"


def test_without_fixtures_there_is_only_less_to_choose_from(run, tmp_path, folder):
    shutil.rmtree(tmp_path / "fixtures")
    result = run("new", "--action", "trackEvent", "--event", "Level Up", "--yes")

    assert "my-event.json" in result.output
    assert content(folder / "level-up.yaml")["trigger"] == 'type = "track" and event = "Level Up"'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--yes"], "--action must be given"),
        (["--action", "trackEvnt", "--yes"], "Did you mean trackEvent?"),
        (["--action", "trackEvent", "--field", "meta=x"], "Did you mean metadata?"),
        (["--action", "trackEvent", "--field", "event_name={{ }}", "--yes"], "names no value"),
        (["--action", "trackEvent", "--field", "source_id=-", "--yes"], "source_id is required"),
        (["--action", "identifyUser", "--type", "identify", "--event", "A"], "leave --event out"),
        (
            ["--direction", "segment-rehook", "--action", "trackEvent"],
            "Did you mean segment-to-rehook?",
        ),
    ],
)
def test_an_option_that_cannot_be_is_said(run, options, said):
    result = run("new", *options)

    assert result.exit_code in (1, 2)
    assert said in result.output


# import


def test_a_mapping_from_segment_is_written_as_a_file_that_passes_lint(run, folder, lint):
    result = run("import", "-", stdin=json.dumps({"subscriptions": [SUBSCRIPTION]}))
    written = content(folder / "big-order.yaml")

    assert result.output == "mappings/segment-to-rehook/big-order.yaml\n"
    assert written["fields"]["metadata"] == "$.properties"
    assert expand(written["fields"]) == SUBSCRIPTION["mapping"]
    assert lint().exit_code == 0


def test_an_import_can_be_looked_at_first(run, folder):
    result = run("import", "-", "--dry-run", stdin=json.dumps(SUBSCRIPTION))

    assert result.output.startswith(
        "# mappings/segment-to-rehook/big-order.yaml\nname: Big Order\n"
    )
    assert not (folder / "big-order.yaml").exists()


def test_a_trigger_that_can_be_read_in_two_ways_is_shown_with_the_text_to_write(run):
    mixed = {**SUBSCRIPTION, "subscribe": 'type = "track" and event = "A" or event = "B"'}
    result = run("import", "-", stdin=json.dumps(mixed))

    assert result.exit_code == 1
    assert 'Write (type = "track" and event = "A") or event = "B"' in result.output
    assert 'trigger: type = "track" and event = "A" or event = "B"' in result.output


def test_all_are_imported_or_none(run, folder):
    unknown = {**SUBSCRIPTION, "name": "Other", "partnerAction": "trackEvnt"}
    result = run("import", "-", stdin=json.dumps([SUBSCRIPTION, unknown]))

    assert result.exit_code == 1
    assert "Did you mean trackEvent?" in result.output
    assert not (folder / "big-order.yaml").exists()


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 5_000, "is not JSON"),
        ("[]", "There is no mapping in it"),
        (json.dumps({**SUBSCRIPTION, "name": "Track Event"}), "is named 'Track Event' too"),
        (json.dumps([SUBSCRIPTION, {**SUBSCRIPTION, "name": "Big-Order"}]), "Two of them would be"),
        (json.dumps({**SUBSCRIPTION, "name": "half \ud83d"}), "half of a character"),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_sentence(run, folder, stdin, said):
    result = run("import", "-", stdin=stdin)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert len(list(folder.iterdir())) == 2


def test_a_direction_that_does_not_exist_is_not_made(run, tmp_path):
    result = run("import", "-", "--direction", "../x-to-rehook", stdin=json.dumps(SUBSCRIPTION))

    assert (result.exit_code, "There is no direction" in result.output) == (2, True)


def test_faults_that_were_there_before_do_not_keep_a_mapping_out(run, folder):
    (folder / "broken.yaml").write_text("name: Broken\n")

    assert run("import", "-", stdin=json.dumps(SUBSCRIPTION)).exit_code == 0


# enable, disable


def test_switching_off_and_on_again_leaves_every_comment(run, folder):
    path = folder / "track-event.yaml"
    text = "# Ask Ann.\n" + path.read_text() + "\n# enabled: maybe\n"
    path.write_text(text)

    assert run("disable", "Track Event").output == (
        "Track Event is off: mappings/segment-to-rehook/track-event.yaml\n"
    )
    off = path.read_text()
    assert content(path)["enabled"] is False
    assert off.replace("enabled: false\n", "", 1) == text
    assert run("enable", "Track Event").exit_code == 0
    assert path.read_text() == off.replace("enabled: false", "enabled: true", 1)


def test_switching_keeps_who_may_read_the_file(run, folder):
    path = folder / "track-event.yaml"
    path.chmod(0o640)
    run("disable", "Track Event")

    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in folder.iterdir()) == [
        "identify-user.yaml",
        "track-event.yaml",
    ]


def test_a_mapping_that_is_on_is_not_touched(run, folder):
    before = (folder / "track-event.yaml").read_text()

    assert "is on already" in run("enable", "Track Event").output
    assert (folder / "track-event.yaml").read_text() == before


def test_a_mapping_that_is_off_sends_nothing(run, setup):
    run("disable", "Track Event")

    assert [each.enabled for each in setup().routes().mappings] == [True, False]
