"""An age is a whole number and a unit: `30s`, `90m`, `12h`, `7d`, `2w`."""

#: Seconds of each unit.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

#: How an age is written, as a regular expression.
PATTERN = f"^[1-9][0-9]{{0,5}}[{''.join(_UNITS)}]$"


def seconds(age: str) -> float:
    """`7d` → 604800.0. The text fits PATTERN."""
    return float(int(age[:-1]) * _UNITS[age[-1]])


def words(age: float) -> str:
    """An age in seconds, for people: `7 days`, `1.5 hours`."""
    for name, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if age >= 2 * unit:
            return f"{round(age / unit, 1):,g} {name}"
    return f"{age:.0f} seconds"
