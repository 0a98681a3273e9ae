"""The full circle, over real processes: an order goes out, points come back, Segment is told."""

import pytest
import requests

from destination.cli.returns import subscribe
from tests.conftest import KEY
from tests.processes.test_journey import identify, order
from tests.running import answers, service, until


@pytest.fixture
def circle(tmp_path):
    """A service whose engine answers back, with Segment's stand-in beside it."""
    with service(
        tmp_path,
        REHOOK_WEBHOOK_USER="rehook",
        REHOOK_WEBHOOK_PASSWORD="secret",
        REWARD_WEBHOOK_TOKEN="token",
        SEGMENT_TRACKING_KEY="sandbox",
    ) as running:
        running.settings["SEGMENT_TRACKING_URL"] = running.engine_url
        running.settings["REWARD_URL"] = running.engine_url
        at = f"127.0.0.1:{running.port}/webhooks"
        running.sandbox(
            "--rehook-webhook",
            f"http://rehook:secret@{at}/rehook",
            "--reward-webhook",
            f"http://{at}/reward?token=token",
        )
        yield running


def start(running, **settings):
    running.settings.update(settings)
    running.serve()
    running.start("worker")


def came_back(running):
    """Whether all that the engine told was taken, and all that it made is settled."""
    return all(each["answers"][-1:] == [200] for each in running.told()) and running.settled()


def events(running):
    return sorted(call["event"] for call in running.tracked())


def test_what_an_order_earns_reaches_segment(circle):
    start(circle)
    circle.send(order(1, total=250))
    until(lambda: len(circle.told()) >= 3 and came_back(circle))

    assert events(circle) == ["Loyalty Customer Created", "Points Credited", "Reward Earned"]
    [earned] = [call for call in circle.tracked() if call["event"] == "Reward Earned"]
    assert earned["userId"] == "ada"
    assert (earned["properties"]["points"], earned["properties"]["payout"]) == (25, "engine")


def test_one_command_is_the_full_circle_and_a_subscriber_is_told_too(tmp_path):
    with service(tmp_path) as running:
        running.start("serve", "--worker", "--sandbox", "--sandbox-port", str(running.sandbox_port))
        until(lambda: answers(f"{running.url}/readyz") and answers(running.engine_url))
        for _ in range(2):  # the database of a practice lives on, and so does its account
            subscribe(running.url, running.engine_url, ("tests", KEY))
        running.send(order(1, total=250))
        told = {"customerAdded", "rewardIssued", "pointsIssued", "trigger_event.created"}
        until(lambda: len(running.notified()) >= 5 and "Reward Earned" in events(running))

        found = running.notified()
        assert all(each["signed"] for each in found)
        assert {each["notification"]["eventName"] for each in found} == told
        accounts = requests.get(
            f"{running.url}/v3/webHooks", auth=("tests", KEY), timeout=30
        ).json()["data"]
        assert [each["name"] for each in accounts] == ["Sandbox"]


def test_a_referral_is_announced_twice_and_paid_once(circle):
    start(circle)
    circle.send(identify("ada", referral_code="ADA1"))
    until(circle.settled)
    signup = {"type": "track", "messageId": "s1", "userId": "bob", "event": "signup"}
    circle.send({**signup, "properties": {"referral_code": "ADA1"}})
    until(lambda: len(circle.told()) >= 11 and came_back(circle))

    ada = [call for call in circle.tracked() if call["userId"] == "ada"]
    told = {call["event"]: call["properties"] for call in ada}
    assert sorted(call["event"] for call in ada) == [
        "Loyalty Customer Created",
        "Points Credited",
        "Referral Completed",
        "Reward Earned",
    ]
    assert "payout" not in told["Referral Completed"]
    assert (told["Reward Earned"]["payout"], told["Reward Earned"]["points"]) == ("engine", 100)


def test_webhooks_that_are_repeated_and_reordered_change_nothing(circle):
    start(circle)
    circle.upset(repeat=2, reorder=True, count=3)
    circle.send(order(1))
    until(
        lambda: [len(each["answers"]) for each in circle.told()] == [3, 3, 3] and circle.settled()
    )

    assert events(circle) == ["Loyalty Customer Created", "Points Credited", "Reward Earned"]


def test_webhooks_that_meet_no_receiver_come_later(circle):
    circle.start("worker")
    requests.post(
        f"{circle.engine_url}/events/invoke",
        json={"event_name": "Review Submitted", "source_id": "ada"},
        auth=("sandbox", "sandbox"),
        timeout=30,
    )
    until(lambda: any(None in each["answers"] for each in circle.told()))
    circle.serve()
    until(lambda: came_back(circle) and circle.tracked())

    [earned] = [call for call in circle.tracked() if call["event"] == "Reward Earned"]
    assert (earned["properties"]["points"], earned["properties"]["payout"]) == (20, "you")


def test_what_comes_round_again_awards_nothing(circle):
    """Segment sends every call that it got on to us, whatever its integrations object says."""
    start(circle)
    circle.send(order(1, total=250), order(2, total=90), order(1, "bob"))
    until(lambda: len(circle.told()) >= 8 and came_back(circle))
    before = circle.customers(), circle.tracked(), len(circle.told())
    assert len(before[1]) == 8

    for _ in range(3):
        for call in circle.tracked():
            [result] = circle.send({**call, "integrations": {}, "messageId": f"x{call}"[:90]})
            assert (result["outcome"], result["reason"]) in {
                ("discarded", "loop"),
                ("duplicate", "loop"),
            }
    until(lambda: came_back(circle))

    assert (circle.customers(), circle.tracked(), len(circle.told())) == before


def test_one_event_goes_to_two_engines_and_neither_waits_for_the_other(circle):
    start(circle, REWARD_API_KEY="sandbox")
    trigger = "/v1/triggers/{trigger_id}/users/{user_id}/events"
    circle.fault(path=trigger, status=503, retry_after=600)
    circle.send(order(1, total=250), order(2, total=90))
    until(lambda: circle.customers().get("ada", {}).get("points") == 34)
    until(lambda: "Reward Earned" in events(circle))

    listed = circle.run("deliveries", "--json").stdout
    assert listed.count('"destination":"reward"') == 2
    assert [each["path"] for each in circle.arrived("ada") if "triggers" in each["path"]] == [
        "/v1/triggers/order_completed/users/ada/events"
    ]


def test_what_reward_issues_reaches_segment(circle):
    start(circle, REWARD_API_KEY="sandbox")
    circle.send(order(1, total=250))
    until(lambda: len(circle.told()) >= 5 and came_back(circle))

    issued = [call["properties"] for call in circle.tracked() if call["event"] == "Points Credited"]
    assert sorted(each["points"] for each in issued) == [25, 250]


def test_an_award_whose_answer_is_lost_is_confirmed_by_the_engines_own_webhook(circle):
    start(circle)
    circle.fault(path="/events/invoke", drop="after", source_id="ada")
    call = {**order(1), "event": "order_success", "properties": {"total_amount": "250", "n": 1.5}}
    circle.send(call)
    until(lambda: circle.deliveries()["ada-1"]["status"] == "delivered")

    delivery = circle.deliveries()["ada-1"]
    assert delivery["reason"] == "confirmed"
    shown = circle.run("deliveries", "show", str(delivery["id"])).stdout
    assert "confirmed by event" in shown
    assert len(circle.customers()["ada"]["transactions"]) == 1
