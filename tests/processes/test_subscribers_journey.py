"""Processes of their own: who subscribes at the receiver is told by the worker, and soon."""

import requests

from destination.support.json_codec import Json
from tests.conftest import KEY
from tests.running import service, until
from tests.subscribers import CALL, HERE, TELL, account, mappings, subscriber

#: Breaks on an event whose note is long: it makes too much of it.
GREEDY = TELL.replace("data: $.properties", f'data: {{note: "{"{{properties.note}}" * 100}"}}')


def test_a_new_subscriber_is_told_by_a_worker_that_runs_already(tmp_path):
    with (
        subscriber() as (url, arrived),
        service(tmp_path, MAPPINGS=mappings(tmp_path), **HERE) as running,
    ):
        running.serve()
        running.start("worker")
        hooks = f"{running.url}/v3/webHooks"
        running.send(CALL)
        made = requests.post(hooks, json=account(url), auth=("tests", KEY), timeout=30).json()[
            "data"
        ]["webHookId"]
        running.send({**CALL, "messageId": "m2"})

        def logged():
            return requests.get(
                f"{hooks}/eventLog/requestId/m2", auth=("tests", KEY), timeout=30
            ).json()["data"]

        until(lambda: logged()[0]["eventEndTimestamp"])
        held, refused = running.run("hold", f"webhook:{made}"), running.run("hold", "webhook")
        ready = requests.get(f"{running.url}/readyz", timeout=30).json()

    assert [body["apiRequestId"] for _, body in arrived] == ["m2"]
    assert held.returncode == 0
    assert f"webhook:{made}." in refused.stderr
    assert [hold["destination"] for hold in ready["holds"]] == [f"webhook:{made}"]


def test_an_event_that_was_parked_reaches_its_subscribers_after_the_fix(tmp_path):
    folder = mappings(tmp_path, GREEDY)
    call: dict[str, Json] = {**CALL, "properties": {"note": "long" * 5000, "transactionId": 1}}
    with (
        subscriber() as (url, arrived),
        service(tmp_path, MAPPINGS=folder, **HERE) as running,
    ):
        running.serve()
        for name in ("A", "B"):
            requests.post(
                f"{running.url}/v3/webHooks",
                json=account(url, name),
                auth=("tests", KEY),
                timeout=30,
            )
        [result] = running.send(call)
        assert result["reason"] == "mapping_failed"
        [path] = (tmp_path / "tell").rglob("*.yaml")
        path.write_text(TELL)
        again = running.run("replay", "--quarantined")
        assert again.returncode == 0, again.stderr
        running.start("worker")
        until(lambda: len(arrived) == 2)

    assert len({body["eventId"] for _, body in arrived}) == 2
