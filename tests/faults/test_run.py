"""The short form of a run; `make faults` has it in full."""

import random

import pytest

from tests.faults.__main__ import command
from tests.faults.run import Run, go


@pytest.mark.timeout(400)  # half a minute, where nobody else uses the machine
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_lost_awarded_twice_or_out_of_order_whatever_is_killed(kind, tmp_path):
    run = Run(database=kind, events=300, kills=8, seed=random.SystemRandom().randrange(10_000))

    report = go(run, tell=print, folder=tmp_path)
    assert report.verdict.well, f"{command(run)}\n{report.verdict.wrong}"
    assert report.workers_dead == 0, command(run)
    assert report.verdict.acknowledged == report.verdict.sent == 300
    assert report.happened["kill"] == 8
