"""The table "What an answer means" of docs/operations.md is what `classify` does."""

import re

import pytest

from destination.model.verdict import Exchange, Verdict, classify
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
WORDS = {
    "delivered": Verdict.DELIVERED,
    "retry": Verdict.RETRY,
    "`uncertain`": Verdict.UNKNOWN,
    "the destination is held": Verdict.HOLD,
    "failed": Verdict.REJECTED,
}


def rows() -> list[list[str]]:
    """The cells of each row, without what stands in brackets."""
    table = PAGE.partition("What an answer means:\n\n")[2].partition("\n\n")[0]
    lines = [re.sub(r" \([^)]*\)", "", line) for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def statuses(answers: str) -> set[int]:
    """The statuses that a cell names: `408, 505–511, 3xx, 600 and above`."""
    found: set[int] = set()
    for first, last in re.findall(r"\b(\d{3})(?:–(\d{3}))?\b(?! and above)", answers):
        found |= set(range(int(first), int(last or first) + 1))
    for hundred in re.findall(r"(?<!other )\b(\d)xx", answers):
        found |= set(range(int(hundred) * 100, int(hundred) * 100 + 100))
    if above := re.search(r"(\d{3}) and above", answers):
        found |= set(range(int(above[1]), 1000))
    return found


def meaning(cell: str) -> Verdict:
    return next(verdict for word, verdict in WORDS.items() if cell.startswith(word))


def meant() -> dict[int, tuple[Verdict, Verdict]]:
    """Each status with what it means where a request is safe to repeat, and for an award."""
    found: dict[int, tuple[Verdict, Verdict]] = {}
    others: dict[int, tuple[Verdict, Verdict]] = {}
    for answers, safe, award in rows():
        pair = meaning(safe), meaning(safe if award == "the same" else award)
        found |= dict.fromkeys(statuses(answers), pair)
        for hundred in re.findall(r"other (\d)xx", answers):
            others |= dict.fromkeys(range(int(hundred) * 100, int(hundred) * 100 + 100), pair)
    return others | found


def test_the_page_says_of_every_status_what_it_means():
    assert sorted(meant()) == list(range(100, 1000))


@pytest.mark.parametrize("idempotent", [True, False], ids=["safe to repeat", "award"])
def test_an_answer_means_what_the_page_says(idempotent):
    said = {status: pair[0 if idempotent else 1] for status, pair in meant().items()}

    assert said == {
        status: classify(
            Exchange(method="POST", url="", status=status), idempotent=idempotent, ambiguous="park"
        )
        for status in said
    }
