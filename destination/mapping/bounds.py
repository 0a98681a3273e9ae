"""No mapping and no event can make the kit run for long, recurse for ever or fill the memory.

What a mapping can weigh is checked once, when it loads. What it makes of one event is counted
while it runs, by those directives that can make much out of little: they `spend` what they
write, and a mapping without such directives counts nothing.
"""

import threading
from collections.abc import Callable, Iterator
from time import thread_time

from destination.errors import InvalidMapping, MappingFailed

#: From the root of a mapping to a part of it: `("fields", "metadata", "@if")`.
Where = tuple[str | int, ...]

#: A compiled mapping: from an event to what is sent of it.
Run = Callable[[object], object]

#: Characters that a mapping may hold, its keys, texts and numbers together.
LARGEST_MAPPING = 200_000

#: Objects and lists inside one another, in a mapping and in what a directive walks through.
DEEPEST = 100

#: Characters that the directives of a mapping may write for one event.
LARGEST_OUTPUT = 1_000_000

#: Seconds of processor time that a mapping may take for one event. Time spent waiting for
#: other threads is not the mapping's fault.
LONGEST_RUN = 0.05


#: What one piece of text costs beside its characters: many small pieces take long as well.
_PIECE = 8

#: What may be spent between two looks at the clock.
_LOOK_EVERY = 5_000


class _Meter(threading.local):
    """What the running mapping may still spend, when to look at the clock, and until when."""

    left = 0
    look_at = 0
    until = 0.0


_meter = _Meter()


def metered(run: Run, seconds: float = LONGEST_RUN) -> Run:
    """Give each run of a mapping its own budget, from which its directives `spend`."""

    def measured(event: object) -> object:
        _meter.left = LARGEST_OUTPUT
        _meter.look_at = LARGEST_OUTPUT - _LOOK_EVERY
        _meter.until = thread_time() + seconds
        return run(event)

    return measured


def spend(characters: int) -> None:
    """Count a piece of text that a directive writes or reads through.

    Raises MappingFailed when the running mapping has written too much or run too long.
    """
    left = _meter.left - characters - _PIECE
    _meter.left = left
    if left < _meter.look_at:
        _look(left)


def _look(left: int) -> None:
    if left < 0:
        raise MappingFailed(f"the mapping makes more than {LARGEST_OUTPUT:,} characters of it")
    if thread_time() > _meter.until:
        raise MappingFailed(f"the mapping takes longer than {LONGEST_RUN * 1000:.0f} ms")
    _meter.look_at = max(left - _LOOK_EVERY, 0)


def spend_on(value: object) -> None:
    """Count a whole JSON value, however often its parts are shared.

    Two `@transform` of which each names its input twice hold one event four times: in memory
    that is one event, written out it is four.
    """
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            spend(sum(map(len, value)) + len(value))
        elif isinstance(value, list):
            waiting.extend(value)
            spend(len(value))
        elif isinstance(value, str):
            spend(len(value))


def check_depth(depth: int) -> None:
    """Raise MappingFailed when a directive has gone too many levels into an event."""
    if depth >= DEEPEST:
        raise MappingFailed(f"the event is nested deeper than {DEEPEST} levels")


def check_size(mapping: object) -> None:
    """Raise InvalidMapping if a mapping is nested too deep or too large to be taken."""
    left = LARGEST_MAPPING
    for value, where in walk(mapping):
        if len(where) > DEEPEST:
            raise InvalidMapping(
                f"nested deeper than {DEEPEST} levels. Take a part out into a field of its own",
                where,
            )
        left -= len(value) if isinstance(value, str) else 1
        left -= len(where[-1]) if where and isinstance(where[-1], str) else 1
        if left < 0:
            raise InvalidMapping(
                f"the mapping is larger than {LARGEST_MAPPING:,} characters. "
                "Divide it into several",
                where,
            )


def walk(value: object) -> Iterator[tuple[object, Where]]:
    """Go through a mapping in the order in which it is written: each value, and where it is."""
    waiting: list[tuple[object, Where]] = [(value, ())]
    while waiting:
        value, where = waiting.pop()
        yield value, where
        if isinstance(value, dict):
            inner = [(each, (*where, key)) for key, each in value.items()]
            waiting.extend(reversed(inner))
        elif isinstance(value, list):
            inner = [(each, (*where, index)) for index, each in enumerate(value)]
            waiting.extend(reversed(inner))
