"""A process beside the receiver that dies is started anew, ever later, and it is said how it ended."""

import os
import signal

import pytest
import requests
import structlog

from destination.support import supervisor
from destination.support.supervisor import Supervisor
from tests.running import answers, free_port, until


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.01)
    with structlog.testing.capture_logs() as found:
        yield found


def test_one_that_dies_again_and_again_waits_twice_as_long_each_time(lines):
    broken = {**os.environ, "DESTINATION_LEASE": "long"}

    def ended():
        return [line for line in lines if line["event"] == "ended, and is started again"]

    with Supervisor({"worker": broken}):
        until(lambda: len(ended()) == 3)
    assert [(line["command"], line["how"]) for line in ended()] == [("worker", "exit status 2")] * 3
    assert [line["wait"] for line in ended()] == [0.01, 0.02, 0.04]


def test_one_that_has_lived_for_long_is_started_anew_as_at_the_first_time(lines, monkeypatch):
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.0)
    port = free_port()
    url = f"http://127.0.0.1:{port}/_sandbox/requests"

    def pids():
        return [line["pid"] for line in lines if line["event"] == "started again"]

    with Supervisor({f"sandbox --port {port} --secret hush": os.environ}) as running:
        until(lambda: answers(url))
        os.kill(running.children[0].process.pid, signal.SIGKILL)
        until(pids)
        until(lambda: answers(url))
        os.kill(pids()[0], signal.SIGKILL)
        until(lambda: len(pids()) == 2)
        until(lambda: answers(url))
    ended = [line for line in lines if line["event"] != "started again"]
    assert [(line["how"], line["wait"]) for line in ended] == [("SIGKILL", 0.01)] * 2
    assert "hush" not in str(lines)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
