"""What the examples of the pages need: a folder of mappings, and somebody to send events."""

import json
import re
import shutil

import pytest

from destination.mapping import files
from destination.routing.route import arrive
from tests.conftest import ROOT
from tests.docs.page import text_of, write


@pytest.fixture
def folder(tmp_path):
    """A folder of mappings with the presets in it, as the examples find it."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    return tmp_path / "mappings"


@pytest.fixture
def faults(setup):
    def faults(folder):
        ours = setup()
        return list(map(str, files.read_mappings(folder, list(ours.sources), ours.actions)[1]))

    return faults


@pytest.fixture
def send(setup):
    """What becomes of an event: `(mapping, payload as JSON)` of each delivery, and the reasons.

    Nobody has subscribed to anything, and what comes of that is no part of the examples.
    """

    def send(event, folder, source="segment", **settings):
        routes = setup(MAPPINGS=str(folder), **settings).routes()
        routes.destinations["webhook"].subscribe([])
        arrival = arrive(event, source, routes)
        sent = [(each.mapping, text_of(json.loads(each.payload))) for each in arrival.deliveries]
        reasons = [discard.reason for discard in arrival.discards]
        return sent, [reason for reason in reasons if reason != "no_subscriber"]

    return send


@pytest.fixture
def send_fields(send, tmp_path):
    """The same for a part of a file; of what is sent, without what the test puts beside it."""

    def send_fields(part, event):
        written = re.findall(r"^  (\w+):", part, re.MULTILINE)
        action, beside = "trackEvent", {"event_name": "Example", "source_id": "$.userId"}
        if event["type"] == "identify":
            action, beside = "identifyUser", {"source_id": "$.userId"}
        added = {name: value for name, value in beside.items() if name not in written}
        lines = [f"  {name}: {value}\n" for name, value in added.items()]
        head = f'name: Example\naction: {action}\ntrigger: type = "{event["type"]}"\n'
        write(tmp_path / "part", "segment-to-rehook/example.yaml", head + part + "".join(lines))
        sent, reasons = send(event, tmp_path / "part")
        payloads = [json.loads(payload) for _, payload in sent]
        shown = [{k: v for k, v in payload.items() if k not in added} for payload in payloads]
        return shown, reasons

    return send_fields
