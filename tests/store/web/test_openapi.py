"""The description of every endpoint is true: whatever fits it, or not, is answered as it says."""

import contextlib
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from destination.app import Setup
from destination.partners.base.credentials import basic
from destination.web.app import create_app
from tests.conftest import DOORS, KEY, ROOT
from tests.subscribers import CALL, HERE, account, mappings

#: Requests for each endpoint: few with every run, more on demand.
EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An app that has a subscriber, and something to tell."""
    folder = tmp_path_factory.mktemp("openapi")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **HERE,
            **DOORS,
            "DATABASE_URL": f"sqlite:///{folder / 'api.db'}",
            "MAPPINGS": mappings(folder),
        }.items():
            patch.setenv(f"DESTINATION_{name}", value)
        found = create_app(Setup.read().receiver())
    client = found.test_client()
    hook = account("http://127.0.0.1:1/")
    assert client.post("/v3/webHooks", json=hook, auth=("tests", KEY)).status_code == 200
    assert client.post("/webhooks/segment", json=CALL, auth=(KEY, "")).status_code == 200
    return found


def test_every_endpoint_answers_as_it_is_described(app):
    description = schemathesis.openapi.from_wsgi("/openapi.json", app)
    operations = [found.ok() for found in description.get_all_operations()]

    for operation in operations:
        for mode in schemathesis.GenerationMode:
            with contextlib.suppress(Unsatisfiable):  # nothing is wrong where nothing is sent
                _exercise(operation, mode)
    assert len(operations) > 15


def _exercise(operation, mode):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def exercise(case):
        user = ("tests", KEY) if case.path.startswith("/v3") else (KEY, "")
        case.call_and_validate(checks=CHECKS, headers={"Authorization": basic(*user)})

    exercise()


def test_every_endpoint_is_described(app):
    description = app.test_client().get("/openapi.json").get_json()

    assert len(description["paths"]) == len({str(rule) for rule in app.url_map.iter_rules()})
    for operations in description["paths"].values():
        for operation in operations.values():
            assert operation["summary"].endswith(".")


def test_the_page_for_people_has_every_endpoint_and_shape(app):
    client = app.test_client()
    description, page = client.get("/openapi.json").get_json(), client.get("/openapi")

    assert page.mimetype == "text/html"
    text = page.get_data(as_text=True)
    for name in (*description["paths"], *description["components"]["schemas"]):
        assert name in text


def test_the_docs_say_where_it_is():
    assert "/openapi" in (ROOT / "docs" / "operations.md").read_text()
