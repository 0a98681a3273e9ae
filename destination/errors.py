"""Every error of ours, divided by what happens next.

Problem                  said to the person in one sentence, without a traceback
├── BadSetting           the start is stopped
├── InvalidMapping       the mapping file is not taken; the set in force goes on
│   └── InvalidTrigger   the same, for the condition on which it fires
├── MappingFailed        one event is quarantined with the reason; the mapping goes on
├── Refused              one call is answered in its place; the others go on
├── Unauthorized         a whole request is answered 401
└── StoreUnavailable     the sender is told to come back: 503 with Retry-After
    ├── Busy             the same, and it is no fault
    └── StoreConflict    the transaction is done anew at once, and mostly nobody hears of it
"""

from collections.abc import Sequence


class Problem(Exception):
    """The base of every error of ours: its text names the thing and the remedy."""


class BadSetting(Problem):
    """A setting is unknown or has a value that it cannot have."""


class InvalidMapping(Problem):
    """A mapping cannot be compiled.

    `where` leads from the mapping's root to the fault, as keys and list indexes, so that
    a file can name the line: `("fields", "metadata", "@pth")`. `every` begins with this fault,
    and goes on with those that stand behind it.
    """

    def __init__(
        self,
        message: str,
        where: Sequence[str | int] = (),
        *,
        others: Sequence["InvalidMapping"] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = tuple(where)
        self.every: tuple[InvalidMapping, ...] = (self, *others)


class InvalidTrigger(InvalidMapping):
    """A trigger cannot be compiled. `position` counts characters from the start of its text."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message, ("trigger",))
        self.position = position


class MappingFailed(Problem):
    """A mapping broke on one event: too slow, too large, or unreadable for it."""


class Unauthorized(Problem):
    """A request does not show that it comes from the source: answered 401, with what to set."""


class Refused(Problem):
    """A call cannot be taken as it stands. `reason` is its code: `nested_too_deep`.

    `text` is the call as it arrived, where it could not even be read.
    """

    def __init__(self, reason: str, detail: str, text: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.text = text


class TooLarge(Problem):
    """A request holds more than is allowed: answered 413, with the bound."""


class StoreUnavailable(Problem):
    """The database cannot be written now: it is locked, full, or gone."""


class Busy(StoreUnavailable):
    """More comes at once than can be taken."""

    def __init__(self) -> None:
        super().__init__("Too much comes at once. Send it again later.")


class StoreConflict(StoreUnavailable):
    """The database ended this transaction in favour of another one: nothing was done."""
