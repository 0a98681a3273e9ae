"""How messages speak of values, and of words that we do not know."""

from collections.abc import Iterable
from difflib import get_close_matches


def kind(value: object) -> str:
    """Name what a value is, without showing it: an event's data belongs in no message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "nothing"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Write words as a person lists them: `a, b and c`."""
    *before, final = words
    return f"{', '.join(before)} {last} {final}" if before else final


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that somebody who wrote this one is likely to mean."""
    folded = {each.lower(): each for each in known}
    near = get_close_matches(word.lower(), folded, n=1)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the sentence that helps after an unknown word: the nearest known one, or all."""
    known = list(known)
    near = nearest(word, known)
    return f"Did you mean {near}?" if near else f"Known: {listed(known)}."


def printable(text: str) -> str:
    """Write by its number what a terminal would not show, but obey: `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def printable_lines(text: str) -> str:
    """The same for a text that may have several lines."""
    return "\n".join(map(printable, text.splitlines()))
