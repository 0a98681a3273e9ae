"""A duration, such as the age of an event, is a whole number and a unit: `90m`, `12h`, `7d`."""

#: Seconds of each unit.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

#: How a duration is written, as a regular expression.
PATTERN = f"^[1-9][0-9]{{0,5}}[{''.join(_UNITS)}]$"


def seconds(duration: str) -> float:
    """`7d` → 604800.0. The text fits PATTERN."""
    return float(int(duration[:-1]) * _UNITS[duration[-1]])


def words(duration: float) -> str:
    """A duration in seconds, for people: `7 days`, `1.5 hours`."""
    for name, unit in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if duration >= 2 * unit:
            return f"{round(duration / unit, 1):,g} {name}"
    return f"{duration:.0f} seconds"
