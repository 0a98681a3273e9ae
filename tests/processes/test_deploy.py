"""What is in deploy/ is what systemd, Compose and Kubernetes can read, and speaks of this program."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from ruamel.yaml import YAML

import destination
from destination.app import Setup
from destination.cli import main
from destination.support.supervisor import STOP_WITHIN
from destination.web.app import create_app
from destination.worker import loop
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())

#: The oldest and the newest whose fields we know.
KUBERNETES = [kubernetes_validate.utils.all_versions()[0], kubernetes_validate.latest_version()]

#: Seconds that a process of ours may take to stop by itself.
STOPS_WITHIN = max(loop.GRACE + 1.5, STOP_WITHIN)


def name_of(path: Path) -> str:
    return path.name


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


def resources(kind: str) -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in documents(path) if each["kind"] == kind]


def pods() -> Iterator[dict[str, Any]]:
    """The pod template of everything that runs."""
    for each in resources("Deployment") + resources("Job"):
        yield each["spec"]["template"]


def compose() -> dict[str, Any]:
    return documents(DEPLOY / "compose.yaml")[0]


def ours() -> dict[str, dict[str, Any]]:
    """The services of the compose file that run this program."""
    return {
        name: each
        for name, each in compose()["services"].items()
        if each["image"].startswith("loyalty-destination:")
    }


def machine_settings() -> dict[str, str]:
    lines = (DEPLOY / "destination.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_systemd_understands_each_line_of_a_unit(path, tmp_path):
    there = path.read_text().replace("/opt/destination/.venv/bin/destination", "/bin/true")
    (tmp_path / path.name).write_text(there)
    found = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / path.name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_a_unit_runs_a_command_of_ours_and_gives_it_time_to_stop(path):
    found = unit(path)

    assert found["ExecStart"].rpartition("/bin/destination ")[2] in main.commands
    assert found["Restart"] == "always"
    assert float(found["TimeoutStopSec"]) > STOPS_WITHIN


def test_the_units_keep_each_other_to_the_same_bounds():
    bounds = [path.read_text().partition("TimeoutStopSec")[2] for path in UNITS]

    assert bounds[0] == bounds[1]


def test_the_compose_file_is_one():
    path = str(DEPLOY / "compose.yaml")
    found = CliRunner().invoke(check_jsonschema, ["--builtin-schema", "vendor.compose-spec", path])

    assert found.exit_code == 0, found.output


def test_the_services_of_the_compose_file_run_commands_of_ours():
    for each in ours().values():
        assert each["command"][0] in main.commands
        assert float(each["stop_grace_period"].removesuffix("s")) > STOPS_WITHIN
        assert set(each["depends_on"]) <= set(compose()["services"])
        assert (DEPLOY / each["build"]["context"] / each["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_kubernetes_knows_each_field_of_a_manifest(path, version):
    for each in documents(path):
        kubernetes_validate.validate(each, version, strict=True)


def test_what_a_manifest_selects_is_there():
    labels = [pod.get("metadata", {}).get("labels", {}) for pod in pods()]
    selectors = [
        *(each["spec"]["selector"] for each in resources("Service")),
        *(each["spec"]["selector"]["matchLabels"] for each in resources("Deployment")),
        *(each["spec"]["selector"]["matchLabels"] for each in resources("PodDisruptionBudget")),
    ]

    for selector in selectors:
        assert [each for each in labels if selector.items() <= each.items()], selector


def test_pods_run_commands_of_ours_with_the_secret_of_the_example():
    [secret] = resources("Secret")
    for pod in pods():
        [container] = pod["spec"]["containers"]
        assert container["args"][0] in main.commands
        assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
        assert pod["spec"].get("terminationGracePeriodSeconds", 30) > STOPS_WITHIN
        assert not pod["spec"]["enableServiceLinks"]


def test_probes_ask_what_the_receiver_answers(setup, tmp_path):
    app = create_app(setup(DATABASE_URL=f"sqlite:///{tmp_path / 'x.db'}").receiver())
    asked = set(re.findall(r"path: (/\w+)", (DEPLOY / "kubernetes" / "receiver.yaml").read_text()))

    assert asked == {"/healthz", "/readyz"}
    for path in asked:
        assert app.test_client().get(path).status_code == 200


def test_the_program_starts_with_the_settings_of_each_example(setup):
    machine = machine_settings()
    [secret] = resources("Secret")
    image = dict(re.findall(r"(DESTINATION_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text()))
    composed = {name: each["environment"] for name, each in ours().items()}

    for found in (machine, secret["stringData"], image, *composed.values()):
        values = {name.removeprefix("DESTINATION_"): value for name, value in found.items()}
        assert isinstance(setup(**values), Setup)


@pytest.mark.parametrize("example", ["machine", "cluster"])
def test_an_example_names_every_credential_of_a_door_and_how_to_make_one(setup, example):
    file = DEPLOY / "destination.env.example"
    given: dict[str, str] = machine_settings()
    if example == "cluster":
        file = DEPLOY / "kubernetes" / "secret.example.yaml"
        given = resources("Secret")[0]["stringData"]
    doors = {name for source in setup().sources.values() for name in source.credentials}
    doors |= {f"DESTINATION_NOTIFICATIONS_{name}" for name in ("USER", "PASSWORD")}

    assert doors <= given.keys()
    assert "openssl rand -hex 24" in file.read_text()


def test_the_image_is_made_of_what_is_here_and_let_in():
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)

    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in let_in


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_image_is_ours_of_this_version_or_a_plain_name(path):
    images = re.findall(r"(?:image: |^FROM |--tag )(\S+)", path.read_text(), re.MULTILINE)

    assert set(images) <= {
        f"loyalty-destination:{destination.__version__}",
        "nginx:1.28",
        "postgres:16",
        "python:3.11-slim",
    }
