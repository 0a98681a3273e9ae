"""Whatever stands in a file, reading it ends in a mapping or in an error, never in a crash."""

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from destination.app import Setup
from destination.mapping.files import read_mappings
from tests.unit.mapping.test_properties import EVENTS, JSON, MAPPINGS, TRIGGERS

FILES = st.fixed_dictionaries(
    {
        "name": st.text(min_size=1) | JSON,
        "action": st.sampled_from(["trackEvent", "identifyUser", "trackEvnt"]),
        "trigger": st.sampled_from(['type = "track"', "traits.b != null"]) | TRIGGERS,
        "fields": st.fixed_dictionaries(
            {"source_id": MAPPINGS, "metadata": MAPPINGS}, optional={"event_name": MAPPINGS}
        )
        | MAPPINGS,
    },
    optional={"enabled": st.booleans() | JSON, "nmae": JSON},
)
LINES = st.lists(
    st.sampled_from(["a: ", "b", "- ", "  ", '"', "'", "{", "}", "\n", "@if", ">-", "é"])
)


def outcome(text, events):
    setup = Setup.read()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment-to-rehook" / "any.yaml"
        path.parent.mkdir()
        path.write_text(text)
        return read_mappings(path, list(setup.sources), setup.actions, {"segment": events})


@given(file=FILES, events=st.lists(EVENTS, max_size=3))
def test_any_mapping_is_taken_or_has_an_error_in_the_file(file, events):
    text = json.dumps(file, indent=1)
    mappings, faults = outcome(text, events)

    assert bool(mappings) is not any(fault.severity == "error" for fault in faults)
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in faults)
    assert faults == sorted(faults, key=lambda fault: (fault.line, fault.column))


@given(text=st.text() | LINES.map("".join) | st.sampled_from(["{}", "[]", "#"]))
def test_any_text_is_no_mapping_and_has_an_error(text):
    mappings, faults = outcome(text.encode(errors="replace").decode(), [])

    assert not mappings
    assert faults
