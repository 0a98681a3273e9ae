"""How a sender shows who it is: keys and passwords in headers, compared in constant time."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from destination.errors import Unauthorized


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a request must show: Basic auth and headers. What is empty is not asked for."""

    user: str = ""
    password: str = field(default="", repr=False)
    #: Names, and the values that they must have.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def protects(self) -> bool:
        """Whether it keeps anybody out."""
        return bool(self.user or self.password or self.headers)

    def key(self) -> Mapping[str, str]:
        """The headers that open it."""
        if not (self.user or self.password):
            return dict(self.headers)
        return {**dict(self.headers), "Authorization": basic(self.user, self.password)}

    def check(self, headers: Mapping[str, str], *, remedy: str) -> None:
        """Raises Unauthorized, with the remedy, unless the headers show all that is asked for."""
        given = {name.lower(): value for name, value in headers.items()}
        # All are compared, and none is named that fails: a stranger learns nothing.
        found = [
            fits(given.get(name.lower(), "").strip().encode(errors="replace"), [value.encode()])
            for name, value in self.headers
        ]
        if self.user or self.password:
            wanted = f"{self.user}:{self.password}".encode()
            found.append(fits(user_and_password(headers), [wanted]))
        if not all(found):
            raise Unauthorized(remedy)


class LockSettings(Protocol):
    """The settings of a partner that say what its webhook's calls show."""

    @property
    def webhook_user(self) -> str: ...

    @property
    def webhook_password(self) -> str: ...

    @property
    def webhook_headers(self) -> tuple[tuple[str, str], ...]: ...


class Locked:
    """A source whose calls show Basic auth and headers, as far as its settings name them."""

    #: What to do where they do not fit.
    remedy: ClassVar[str]

    def __init__(self, settings: LockSettings) -> None:
        self._lock = Lock(
            user=settings.webhook_user,
            password=settings.webhook_password,
            headers=settings.webhook_headers,
        )
        self.protected = self._lock.protects

    def vouch(self, _body: bytes) -> Mapping[str, str]:
        return self._lock.key()

    def authenticate(self, headers: Mapping[str, str], _body: bytes) -> None:
        """Raises Unauthorized unless the Basic auth and every required header are there."""
        self._lock.check(headers, remedy=self.remedy)


def basic(user: str, password: str) -> str:
    """What an Authorization header says for a user and a password."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def user_and_password(headers: Mapping[str, str]) -> bytes:
    """`user:password` in `Authorization: Basic …`; empty where there is none."""
    scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return b64decode(value.strip(), validate=True)
    except ValueError:
        return b""


def basic_or_bearer(headers: Mapping[str, str]) -> bytes:
    """The key in `Authorization: Basic base64(KEY:)` or `Authorization: Bearer KEY`."""
    scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode(errors="replace")
    return user_and_password(headers).partition(b":")[0]


def fits(given: bytes, accepted: Sequence[bytes]) -> bool:
    """Whether it is one of those. All of them are compared: the time it takes tells nothing."""
    found = [hmac.compare_digest(given, each) for each in accepted]
    return any(found)
