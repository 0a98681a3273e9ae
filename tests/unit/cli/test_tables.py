"""Tables on a narrow terminal: what one needs to go on is never cut."""

import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from destination.cli import main, tables
from destination.cli.records import DELIVERIES, DISCARDS, EVENTS


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setattr(tables, "console", lambda: Console(highlight=False, width=80))


@pytest.mark.parametrize("columns", [DELIVERIES, DISCARDS, EVENTS])
def test_an_id_is_never_cut(columns, capsys):
    row: dict[str, object] = {key: f"a rather long {key}" for key in columns}
    row |= {"id": 85691234, "status": "delivered", "attempts": 12, "reason": "already_awarded"}
    row |= {"outcome": "discarded", "type": "identify", "since": time.time()}
    row |= {key: 1_800_000_000.0 for key in columns if key.endswith("_at")}
    tables.show([row], columns, as_json=False)
    printed = capsys.readouterr().out

    assert "85691234" in printed
    assert "already_awarded" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_mappings_name_is_never_cut():
    printed = CliRunner().invoke(main, ["mappings", "list"]).output

    assert "Capillary Coupon Redeemed   capillary-to-segment" in printed
    assert max(map(len, printed.splitlines())) <= 80
