"""A source sends us webhooks: who may send them, and which calls they bring.

The classes here say what most partners say. A partner's class names what differs.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from destination.errors import Refused
from destination.model.delivery import Confirmation, Discard
from destination.model.event import Event
from destination.partners.base.body import Body
from destination.partners.base.credentials import Lock
from destination.partners.base.notices import read_notices
from destination.support import json_codec
from destination.support.json_codec import Json


class Source(ABC):
    """Sends us webhooks: `POST /webhooks/<name>`."""

    #: The partner's name, as in mapping files and lists: `rehook`.
    name: str
    #: The settings that keep strangers out; one of them is enough.
    credentials: Sequence[str]
    #: Whether one of them is set.
    protected: bool
    #: The keys of a call's `integrations` object that mean this way in.
    integrations: Sequence[str] = ()
    #: What an operator should know at the start.
    warnings: Sequence[str] = ()

    @abstractmethod
    def authenticate(self, headers: Mapping[str, str], body: Body, /) -> None:
        """Raises Unauthorized, with a message that says what to set. Header names are spelt
        `Like-This`. A `?token=` in the address stands in Authorization, as a Bearer token.

        A stranger may have sent the body: no more of it is unpacked or read than it takes.
        """

    @abstractmethod
    def is_known(self, headers: Mapping[str, str], /) -> bool:
        """Whether the head shows a credential, or a signature to check: so that more of the body
        is read than a stranger may send.
        """

    @abstractmethod
    def vouch(self, body: bytes, /) -> Mapping[str, str]:
        """The headers by which a request shows that it comes from the source."""

    @abstractmethod
    def calls(self, body: bytes, /) -> tuple[list[Json | Refused], bool]:
        """The calls in a body, each read by itself, and whether it was a batch.

        Raises Refused when the body as a whole cannot be read.
        """

    def rule(self, _event: Event, /) -> Discard | None:
        """A rule of the source's that drops an event: the reason, or None."""
        return None

    def confirms(self, _event: Event, /) -> Confirmation | None:
        """What an event of the source's shows to have been processed there."""
        return None


class EngineSource(Source):
    """A loyalty engine: its requests show what a lock asks for, and each notice is a track call."""

    #: What to do where the credentials do not fit.
    remedy: str

    def __init__(self, lock: Lock, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since 1970 UTC."""
        self._lock = lock
        self._clock = clock
        self.protected = lock.protects

    def authenticate(self, headers: Mapping[str, str], _body: Body, /) -> None:
        self._lock.check(headers, remedy=self.remedy)

    def is_known(self, headers: Mapping[str, str], /) -> bool:
        return self._lock.is_opened_by(headers)

    def vouch(self, _body: bytes, /) -> Mapping[str, str]:
        return self._lock.key()

    def calls(self, body: bytes, /) -> tuple[list[Json | Refused], bool]:
        """A call for each notice, of one or of a list; what is no object is none, and stays as it
        is.
        """
        notices, batch = read_notices(body)
        return [self.call(each) if isinstance(each, dict) else each for each in notices], batch

    @abstractmethod
    def call(self, notice: dict[str, Json], /) -> Json | Refused:
        """A notice as a track call of Segment's spec, about the member whom it concerns."""

    def now(self) -> str:
        """This moment, in ISO 8601."""
        return json_codec.moment(self._clock())
