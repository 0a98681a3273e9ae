"""Earning rules say how many points an event is worth, and what a referral brings to both."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

#: The rules that ship with the sandbox.
RULES = Path(__file__).with_name("rules.yaml")


class RulesError(ValueError):
    """A rules file cannot be used. Its text names the file, the key and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Points that are a share of a number in the event's metadata: 0.1 of `total`."""

    share: Decimal
    of: str


@dataclass(frozen=True, kw_only=True)
class Owed:
    """Points that the engine does not pay itself: it tells by webhook that you are to."""

    to_pay: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What customers earn. Points are whole numbers of 0 or more."""

    #: Points for an event that `events` does not name.
    default: int
    events: Mapping[str, int | Share | Owed]
    #: The conversion events: they may carry the referral code of an advocate.
    conversions: frozenset[str]
    advocate: int
    friend: int

    def points(self, event_name: str, metadata: Mapping[str, object]) -> int:
        """What this event earns in the wallet; a share is rounded down, and below zero is
        nothing.
        """
        earned = self.events.get(event_name, self.default)
        if isinstance(earned, int):
            return earned
        if isinstance(earned, Owed):
            return 0
        return max(0, int(_amount(metadata.get(earned.of)) * earned.share))

    def owed(self, event_name: str) -> int:
        """What this event earns that is to be paid by you."""
        earned = self.events.get(event_name)
        return earned.to_pay if isinstance(earned, Owed) else 0


def load(path: Path) -> Rules:
    """Read a rules file; `rules.yaml` beside this module shows every key.

    Raises RulesError for a file that cannot be read, a key that is unknown or missing and a
    value that a key cannot have: `rules.yaml: events.signup: points are a whole number of 0 or
    more, not 'x'`.
    """
    try:
        loaded = YAML(typ="safe").load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise RulesError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    top = _table(loaded, {"default", "events", "referral"}, where=f"{path}")
    referral = _table(top["referral"], {"events", "advocate", "friend"}, where=f"{path}: referral")
    return Rules(
        default=_points(top["default"], where=f"{path}: default"),
        events=_events(top["events"], where=f"{path}: events"),
        conversions=_names(referral["events"], where=f"{path}: referral.events"),
        advocate=_points(referral["advocate"], where=f"{path}: referral.advocate"),
        friend=_points(referral["friend"], where=f"{path}: referral.friend"),
    )


def _table(value: object, keys: set[str], *, where: str) -> dict[str, object]:
    """A mapping with exactly these keys."""
    listed = ", ".join(sorted(keys))
    if not isinstance(value, dict):
        raise RulesError(f"{where}: write the keys {listed}, not {value!r}")
    for key in value:
        if key not in keys:
            raise RulesError(f"{where}: unknown key {key!r}; there are {listed}")
    for key in sorted(keys - value.keys()):
        raise RulesError(f"{where}: the key {key!r} is missing")
    return value


def _events(value: object, *, where: str) -> dict[str, int | Share | Owed]:
    if not isinstance(value, dict):
        raise RulesError(f"{where}: write one `name: points` a line, not {value!r}")
    _names(list(value), where=where)
    return {name: _earned(rule, where=f"{where}.{name}") for name, rule in value.items()}


def _earned(value: object, *, where: str) -> int | Share | Owed:
    if not isinstance(value, dict):
        return _points(value, where=where)
    if "to_pay" in value:
        rule = _table(value, {"to_pay"}, where=where)
        return Owed(to_pay=_points(rule["to_pay"], where=f"{where}.to_pay"))
    rule = _table(value, {"share", "of"}, where=where)
    share, of = rule["share"], rule["of"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1e6:
        raise RulesError(f"{where}.share: a share is a number of 0 or more, not {share!r}")
    if not isinstance(of, str):
        raise RulesError(f"{where}.of: name a property of the metadata, not {of!r}")
    return Share(share=Decimal(str(share)), of=of)


def _points(value: object, *, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RulesError(f"{where}: points are a whole number of 0 or more, not {value!r}")
    return value


def _names(value: object, *, where: str) -> frozenset[str]:
    if not isinstance(value, list):
        raise RulesError(f"{where}: write a list of event names, not {value!r}")
    for name in value:
        if not isinstance(name, str):
            raise RulesError(f"{where}: an event's name is text, not {name!r}: quote it")
    return frozenset(value)


def _amount(value: object) -> Decimal:
    """The number in a property, which may be text; 0 where there is none to reckon with."""
    if not isinstance(value, int | float | str):
        return Decimal(0)
    try:
        number = Decimal(str(value))
    except ArithmeticError:  # no number: "ten", True
        return Decimal(0)
    # An exponent without end would become an integer that fills the memory.
    return number if number.is_finite() and number.adjusted() < 18 else Decimal(0)
