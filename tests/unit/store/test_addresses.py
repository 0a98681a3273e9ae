"""Which database an address names, and what is said where it cannot be used."""

import sys

import pytest

from destination.errors import BadSetting
from destination.store.database import connect

ADDRESS = "postgresql+psycopg://tests:hidden@127.0.0.1/tests"


def message(url):
    with pytest.raises(BadSetting) as raised:
        connect(url)
    return str(raised.value)


def test_without_the_driver_of_postgresql_its_installation_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    said = message(ADDRESS)

    assert said.endswith(f"\n  {sys.executable} -m pip install 'psycopg[binary]'")
    assert "hidden" not in said


def test_a_driver_that_we_do_not_use_is_answered_with_the_address_to_write():
    assert "postgresql+psycopg://" in message("postgresql+pg8000://127.0.0.1/tests")
