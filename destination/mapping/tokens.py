"""A trigger's text divided into its words: names, operators, texts, numbers and parentheses."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<blank> \s+ )
    | (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
    | (?P<number> [-+]?\d+(?:\.\d+)? (?![\w.]) )
    | (?P<name> (?:[^\W\d]|\\.) (?:[\w-]|\\.)*
                (?: \.(?:[\w$-]|\\.)+ | \[(?:\d+|"[^"]*"|'[^']*')\] )* )
    | (?P<operator> [=<>!&|]+ )
    | (?P<bracket> [][(),] )
    """,
    re.VERBOSE | re.DOTALL,
)

_KEY = re.compile(r"""\[(?:(\d+)|"([^"]*)"|'([^']*)')\]|\.?((?:[\w$-]|\\.)+)""", re.DOTALL)


class Token(NamedTuple):
    """One word of a trigger. `start` and `end` count characters from the trigger's beginning."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(trigger: str) -> Iterator[Token]:
    """Divide a trigger into words. The last is of the kind `end`, with no text.

    Where a character is not part of any word, the last is of the kind `fault`, and its text says
    what is wrong. It matters only to a reader that gets as far.
    """
    position = 0
    while position < len(trigger):
        found = _TOKEN.match(trigger, position)
        if found is None:
            yield Token("fault", _complaint(trigger, position), position, position)
            return
        kind = found.lastgroup or "blank"
        if kind != "blank":
            yield Token(kind, found[0], position, found.end())
        position = found.end()
    yield Token("end", "", position, position)


def keys_of(name: str) -> tuple[str, ...]:
    r"""Divide a name into its keys: `properties.items[0]["net price"].a\.b`."""
    keys = []
    for place, double, single, plain in _KEY.findall(name):
        keys.append(place or double or single or re.sub(r"\\(.)", r"\1", plain, flags=re.DOTALL))
    return tuple(keys)


def text_of(quoted: str) -> str:
    r"""Return what a text in quotes says: `\"` is a quote, `\\` a backslash."""
    return re.sub(r"\\([\\\"'])", r"\1", quoted[1:-1])


def _complaint(trigger: str, position: int) -> str:
    character = trigger[position]
    if character in "\"'":
        return f"the text that begins here is not closed. Write {character} behind it"
    if character in "“”„‘’‚«»":
        return f'{character} is no quote that a trigger knows. Write "…"'
    if re.match(r"[-+.]?\d", trigger[position:]):
        return "this is no number. Put a text in quotes, write a number as 99.5"
    return f'"{character}" is not part of a trigger. Put a text in quotes'
