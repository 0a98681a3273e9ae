"""A look from time to time that nothing ends but its owner."""

import threading

import pytest
import structlog

from destination.errors import StoreUnavailable
from destination.support.periodic import every
from tests.running import until


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ValueError("ada@example.com")])
def test_it_goes_on_whatever_a_look_meets(error):
    looks = []

    def look(_):
        looks.append(None)
        raise error

    with structlog.testing.capture_logs() as lines:
        end = every(0.001, look, name="mappings")
        until(lambda: len(looks) > 3)
        end()

    assert {line["looking"] for line in lines} == {"mappings"}
    assert "ada@example.com" not in str(lines)


def test_nothing_is_looked_at_after_its_end():
    looks = []
    end = every(0.001, looks.append, name="looking")
    until(lambda: looks)
    end()

    assert "looking" not in {thread.name for thread in threading.enumerate()}


def test_one_that_takes_long_is_told_to_end():
    began, told = threading.Event(), []

    def look(ended):
        began.set()
        told.append(ended.wait(60))

    end = every(0.001, look, name="sweep")
    began.wait(60)
    end()

    assert told == [True]


def test_the_first_look_may_come_sooner():
    looks = []
    end = every(600, looks.append, name="sweep", first=0.0)
    until(lambda: looks)
    end()
