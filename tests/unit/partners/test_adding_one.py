"""The page's example of a partner is one: it is found by being there, and is sent to."""

import pytest

from destination import partners
from destination.settings.tables import Environment
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "partners.md").read_text()
EXAMPLE = PAGE.partition("```python\n")[2].partition("```")[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose modules are partners, too."""
    monkeypatch.setattr(partners, "__path__", [*partners.__path__, str(tmp_path)])
    return tmp_path


def test_the_example_is_found_by_being_there(folder):
    before = partners.names()
    (folder / "acme.py").write_text(EXAMPLE)

    assert set(partners.names()) - set(before) == {"acme"}
    assert "DESTINATION_ACME_" in [table.PREFIX for table in partners.tables()]


def test_a_module_that_offers_no_partner_is_none(folder):
    before = partners.names()
    (folder / "helper.py").write_text('"""Helps."""\n')

    assert partners.names() == before


def test_the_example_sends_an_event_with_its_key(folder):
    (folder / "acme.py").write_text(EXAMPLE)
    acme = partners.destinations(Environment({"DESTINATION_ACME_API_KEY": "k"}))["acme"]
    action = acme.actions["sendEvent"]
    [request] = action.requests(action.fields.payload({"member": "u1", "event": "Order"}))

    assert (acme.url, acme.headers()) == (
        "https://api.acme.example",
        {"Authorization": "Bearer k"},
    )
    assert (request.path, request.body) == ("/events", '{"member":"u1","event":"Order"}')
    assert (action.customer, action.trigger) == ("member", 'type = "track"')
