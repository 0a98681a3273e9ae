"""Settings: read from the environment and `.env`, and refused in words."""

import os
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from destination import partners
from destination.cli import main
from destination.errors import BadSetting
from destination.partners.rehook import RehookSettings
from destination.partners.segment import SegmentSettings
from destination.settings.tables import Environment, Settings
from tests.conftest import ROOT


def read(table=Settings, **values):
    return Environment({f"DESTINATION_{name}": value for name, value in values.items()}).read(table)


def test_without_an_environment_everything_has_its_default():
    settings = read()

    assert (settings.host, settings.port, settings.ambiguous) == ("127.0.0.1", 8080, "park")
    assert read(RehookSettings).url == "https://api.rehook.ai"


def test_a_list_is_separated_by_commas():
    assert read(SegmentSettings, SEGMENT_SHARED_SECRET="a, b,").shared_secret == ("a", "b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("X-Token: abc", [("X-Token", "abc")]),
        ("X-Token: abc, X-Team: loyalty,", [("X-Token", "abc"), ("X-Team", "loyalty")]),
        (
            "Accept: text/html, text/plain;q=0.5, X-Team: a, b",
            [("Accept", "text/html, text/plain;q=0.5"), ("X-Team", "a, b")],
        ),
        ("X-Date: Tue, 05 May 2026 08:00:00 GMT", [("X-Date", "Tue, 05 May 2026 08:00:00 GMT")]),
        ("X-Url: https://a.example/b,c", [("X-Url", "https://a.example/b,c")]),
        ("X-Token:abc,X-B:", None),
        ("abc", None),
        (": abc", None),
    ],
)
def test_a_comma_begins_a_header_only_where_a_name_and_a_colon_follow(value, expected):
    try:
        found = list(read(RehookSettings, REHOOK_WEBHOOK_HEADERS=value).webhook_headers)
    except BadSetting:
        found = None

    assert found == expected


def test_the_environment_rules_over_the_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("DESTINATION_PORT=1000\nDESTINATION_HOST='::1'\nOTHER=x\n")
    monkeypatch.setenv("DESTINATION_PORT", "2000")
    settings = Environment.load().read(Settings)

    assert (settings.port, settings.host) == (2000, "::1")


def test_an_empty_value_hides_that_of_the_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("DESTINATION_PORT=1000\n")
    monkeypatch.setenv("DESTINATION_PORT", "")

    assert Environment.load().read(Settings).port == 8080


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "PORT",
            "http",
            "DESTINATION_PORT is 'http', but must be a whole number from 1 to 65,535.",
        ),
        ("PORT", "70000", "must be a whole number"),
        ("ANONYMOUS", "keep", "must be send or drop"),
        ("READ_TIMEOUT", "0", "must be more than 0 seconds"),
        ("READ_TIMEOUT", "nan", "must be more than 0 seconds"),
        ("READ_TIMEOUT", "soon", "must be a number of seconds"),
        ("LEASE", "50", "more than twice the two timeouts together"),
        ("KEEP_DELIVERED", "30", "must be an age, such as 30m, 12h or 30d"),
        ("KEEP_DELIVERED", "nand", "must be more than no time"),
        ("KEEP_IDS", "6d", "DESTINATION_KEEP_IDS is '6d', but must be at least 7d."),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_it_must_be(name, value, says):
    with pytest.raises(BadSetting, match=says):
        read(**{name: value})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3600s", 3600), ("90m", 5400), ("12h", 43_200), ("1.5d", 129_600), ("2w", 1_209_600)],
)
def test_an_age_has_a_unit(value, seconds):
    assert read(KEEP_DELIVERED=value).keep_delivered == seconds


@pytest.mark.parametrize(
    ("value", "says"), [("maybe", "must be yes or no"), ("Yes", None), ("no", None)]
)
def test_a_switch_is_yes_or_no(value, says):
    if says is None:
        assert read(RehookSettings, REHOOK_VALIDATE_CODES=value).validate_codes == (value == "Yes")
    else:
        with pytest.raises(BadSetting, match=says):
            read(RehookSettings, REHOOK_VALIDATE_CODES=value)


@pytest.mark.parametrize("url", ["api.rehook.ai", "ftp://x", "http://", "https://user:pass@x"])
def test_an_address_that_cannot_be_called_is_refused(url):
    with pytest.raises(BadSetting, match="REHOOK_URL"):
        read(RehookSettings, REHOOK_URL=url)


def test_an_unknown_name_is_refused_with_the_nearest():
    environment = Environment({"DESTINATION_PROT": "1"})

    with pytest.raises(
        BadSetting, match=r"DESTINATION_PROT is not a setting\. Did you mean DESTINATION_PORT\?"
    ):
        environment.refuse_unknown(Settings, *partners.tables())


def test_no_secret_is_shown():
    settings = read(SegmentSettings, SEGMENT_SHARED_SECRET="hush", SEGMENT_WRITE_KEYS="hush")

    assert "hush" not in repr(settings)
    assert "hush" not in repr(read(RehookSettings, REHOOK_API_SECRET="hush", REHOOK_API_KEY="hush"))


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://u:hush@h/d",
        "sqlite:///no/such/folder/x.db",
        "sqlite:////",
        "sqlite://",
        "oracle+x://",
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url, setup):
    with pytest.raises(BadSetting, match="DESTINATION_DATABASE_URL") as error:
        setup(DATABASE_URL=url).database()

    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'DESTINATION_PORT="80', r"\.env:2: this is not NAME=value"),
        (b"DESTINATION_PORT 8081", r"\.env:2: this is not NAME=value"),
        (b"\xff\xfe", r"\.env cannot be read as UTF-8 text"),
    ],
)
def test_a_line_of_the_file_that_cannot_be_read_stops_the_start(tmp_path, line, says):
    (tmp_path / ".env").write_bytes(b"# ours\n" + line + b"\n")

    with pytest.raises(BadSetting, match=says):
        Environment.load()


def test_a_name_in_small_letters_is_not_passed_over(setup, tmp_path):
    (tmp_path / ".env").write_text("destination_port=8081\n")

    with pytest.raises(
        BadSetting, match=r"destination_port is not a setting\. Did you mean DESTINATION_PORT"
    ):
        setup()


def test_a_secret_that_names_nothing_does_not_pass_for_one_that_is_set():
    with pytest.raises(BadSetting, match="must name something") as error:
        read(SegmentSettings, SEGMENT_SHARED_SECRET=" , ")

    assert "' , '" not in str(error.value)


@pytest.mark.parametrize("command", ["deliveries", "migrate"])
def test_a_file_that_is_no_database_is_named_in_a_sentence(tmp_path, monkeypatch, command):
    file = tmp_path / "notes.txt"
    file.write_text("no database, but notes")
    monkeypatch.setenv("DESTINATION_DATABASE_URL", f"sqlite:///{file}")
    result = CliRunner().invoke(main, [command])

    assert (result.exit_code, "names a file that is no SQLite database" in result.output) == (
        2,
        True,
    )


def serve(folder, **settings):
    """What `destination serve` says that cannot start."""
    named = {f"DESTINATION_{name}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "destination", "serve"],
        cwd=folder,
        env={**os.environ, "DESTINATION_MAPPINGS": str(ROOT / "mappings"), **named},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_an_address_of_another_machine_is_no_matter_of_the_port(tmp_path):
    ended = serve(tmp_path, HOST="192.0.2.1", SEGMENT_SHARED_SECRET="abc")

    assert ended.returncode == 2
    assert "DESTINATION_HOST must be an address of this machine." in ended.stderr


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = serve(tmp_path, PORT=taken.getsockname()[1])

    assert ended.returncode == 2
    assert "DESTINATION_PORT chooses another." in ended.stderr
