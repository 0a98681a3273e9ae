"""What docs/operations.md says of the receiver's answers and bounds is what the code has."""

import re

from destination.web import server
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()


def codes_of(path: str) -> set[str]:
    """The codes that a module writes by itself: `{"code": "busy" if … else "unavailable", …}`."""
    text = (ROOT / "destination" / "web" / path).read_text()
    written = re.findall(r'"code": (.+?),\s*"message"', text, re.DOTALL)
    return {code for each in written for code in re.findall(r'"(\w+)"', each)}


def test_the_page_lists_each_code_of_an_error_with_its_status():
    rows = re.findall(r"^\| (\d+|others) \| `(\w+)` \|", PAGE, re.MULTILINE)
    by_status = {(str(status), code) for status, code in server.CODES.items()}
    by_itself = codes_of("app.py") | codes_of("receive.py")

    assert by_status <= set(rows)
    assert {code for _, code in rows} == by_itself | set(server.CODES.values())


def test_the_page_has_the_bounds_of_the_server():
    bounds = dict(re.findall(r"^\| (.+?) \| (.+?) \| .*\|$", PAGE, re.MULTILINE))

    assert bounds["its head"] == f"{server.MAX_HEAD // 1024} KB"
    assert bounds["a body without a credential in the head"] == f"{server.MAX_UNKNOWN // 1024} KB"
    assert bounds["the time in which a body must come whole"] == f"{server.WITHIN:g} seconds"
    assert bounds["the time for which nobody reads an answer"] == f"{server.WITHIN:g} seconds"
    assert bounds["connections at once"] == f"{server.MAX_CONNECTIONS:,}"
    assert bounds["requests being answered at once"] == f"{server.MAX_REQUESTS:,}"
    assert bounds["all bodies in hand together"] == f"{server.MAX_IN_HAND // 1024**2} MB"
