"""Capillary's documented requests, replayed literally: the answers have the documented shape."""

import json
import re
from pathlib import Path

import pytest

from tests.clients import client_for
from tests.conftest import DOORS, ROOT
from tests.running import until
from tests.subscribers import CALL, HERE, account, delivering, mappings, subscriber

FIXTURES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "fixtures" / "capillary-api").glob("*.json"))
}

SEED = ROOT.parent / "shared" / "seeds" / "004_2106797aff433f1c.txt"


def shape(value):
    """Keys and types; of a list, the shape of its first element."""
    match value:
        case dict():
            return {key: shape(each) for key, each in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case None:
            return None
        case bool() | str():
            return type(value)
        case float():
            return float
    return int


def missing(wanted, found, place="$"):
    """Where what was found lacks a key or has another type."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, each in wanted.items():
            if key not in found:
                yield f"{place}.{key}"
            else:
                yield from missing(each, found[key], f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list):
        for each in wanted[:1]:
            yield from missing(each, found[0] if found else "nothing", f"{place}[0]")
    elif wanted != found:
        yield f"{place}: {wanted} {found}"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """The answer to each documented request, of a service that has told somebody something."""
    from destination.app import Setup

    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch, subscriber() as (url, _):
        for name, value in {
            **HERE,
            **DOORS,
            "DATABASE_URL": f"sqlite:///{folder / 'api.db'}",
            "MAPPINGS": mappings(folder),
        }.items():
            patch.setenv(f"DESTINATION_{name}", value)
        setup = Setup.read()
        receiver = setup.receiver()
        client = client_for(receiver)
        known = {"eventId": "", "requestId": str(CALL["messageId"]), "refId": "50074_38236069"}
        client.post("/v3/webHooks", json=account(url, "stand-in", slaInSeconds=30))
        client.post("/webhooks/segment", json=CALL)

        def told():
            path = f"/v3/webHooks/eventLog/refId/{known['refId']}"
            [log] = client.get(path).get_json()["data"]
            known["eventId"] = log["eventId"]
            return log["eventEndTimestamp"]

        with delivering(setup, receiver.database):
            until(told)
        found = {}
        for name, fixture in FIXTURES.items():
            request = fixture["request"]
            path = re.sub(r"\{(\w+)\}", lambda match: known[match[1]], request["path"])
            answer = client.open(path, method=request["method"], json=request.get("body"))
            assert answer.status_code == 200, answer.get_data()
            found[name] = json.loads(answer.get_data())
            assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-CAP-REQUEST-ID"])
            if name == "1-add-webhook":
                known["webHookId"] = found[name]["data"]["webHookId"]
        return found


@pytest.mark.parametrize("name", FIXTURES)
def test_an_answer_has_the_documented_shape(answers, name):
    documented = FIXTURES[name]["answer"]
    # In a schema, types are values: ours are wider where an engine's ids are no numbers.
    wanted, found = shape(documented), shape(answers[name])

    assert [each for each in missing(wanted, found) if not each.startswith("$.data.schema")] == []
    if "schema" not in str(wanted):
        assert list(missing(found, wanted)) == []


def test_an_answer_s_keys_stand_in_the_documented_order(answers):
    documented = FIXTURES["1-add-webhook"]["answer"]["data"]

    assert list(answers["1-add-webhook"]["data"]) == list(documented)


def test_the_schema_of_an_event_has_the_documented_parts(answers):
    documented = FIXTURES["3-event-metadata"]["answer"]["data"]["schema"]
    found = answers["3-event-metadata"]["data"]["schema"]

    assert documented.keys() <= found.keys()
    assert found["required"] == documented["required"]
    attributes = documented["properties"]["attributes"]
    assert documented["properties"].keys() <= found["properties"].keys()
    ours = found["properties"]["attributes"]
    assert (ours["type"], ours["required"]) == ("object", attributes["required"])
    assert ours["properties"].keys() == attributes["properties"].keys()


def test_the_values_are_as_documented(answers):
    added, changed = answers["1-add-webhook"]["data"], answers["7-update-webhook"]["data"]

    assert added["maxAllowedConnections"] == 10
    assert re.fullmatch("[0-9a-f]{24}", added["webHookId"])
    assert changed["eventNames"] == ["transaction"]
    assert (changed["noOfRetryAttempts"], changed["active"]) == (0, True)
    assert answers["8-delete-webhook"]["data"]["active"] is False
    assert answers["4-event-log"]["data"]["consumerResponse"]["webhookHttpStatus"] == 200.0


#: The values that are documented of `eventNames`.
EVENT_NAMES = {
    "customerAdded",
    "customerUpdated",
    "pointsExpired",
    "pointsExpiryReminder",
    "pointsIssued",
    "pointsRedeemed",
    "pointsTransferredInitiated",
    "pointsTransferredReceived",
    "promisedToCurrentPointsConversion",
    "redeemedPointsReversed",
    "tierDowngradeReminder",
    "tierDowngraded",
    "tierRenewed",
    "tierUpgraded",
    "transactionAdded",
    "transactionUpdated",
}


def test_every_documented_event_can_be_subscribed_to(answers):
    documented = {each["eventName"] for each in FIXTURES["2-org-events"]["answer"]["data"]}
    documented |= EVENT_NAMES

    assert documented <= {each["eventName"] for each in answers["2-org-events"]["data"]}


@pytest.mark.skipif(not Path(SEED).exists(), reason="the documentation is not here")
def test_the_fixtures_say_what_the_documentation_says():
    blocks = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", SEED.read_text(), re.S)]
    requests = [block for block in blocks if "webHookUrl" in block]
    rows = [row for row in SEED.read_text().splitlines() if row.startswith("eventNames")]
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [EVENT_NAMES] * 2
    shapes = [shape(block) for block in blocks if "data" in block]

    assert requests == [
        FIXTURES[name]["request"]["body"] for name in ("1-add-webhook", "7-update-webhook")
    ]
    for name, fixture in FIXTURES.items():
        assert name == "8-delete-webhook" or shape(fixture["answer"]) in shapes
