"""How a sender shows who it is: keys and passwords in headers, compared in constant time."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from destination.errors import Unauthorized


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a request must show: a token or Basic auth, and headers; nothing for what is empty."""

    #: A Bearer token, or the user name of Basic auth without a password.
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    #: Names, and the values that they must have.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def protects(self) -> bool:
        """Whether it keeps anybody out."""
        return bool(self.token or self.user or self.password or self.headers)

    def key(self) -> Mapping[str, str]:
        """The headers that open it."""
        headers = dict(self.headers)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        elif self.user or self.password:
            headers["Authorization"] = basic(self.user, self.password)
        return headers

    def check(self, headers: Mapping[str, str], *, remedy: str) -> None:
        """Raises Unauthorized, with the remedy, unless the headers open it."""
        if not self.is_opened_by(headers):
            raise Unauthorized(remedy)

    def is_opened_by(self, headers: Mapping[str, str]) -> bool:
        """Whether headers show all that is asked for. What asks for nothing is closed."""
        given = {name.lower(): value for name, value in headers.items()}
        # All are compared, and none is named that fails: a stranger learns nothing.
        found = [
            fits(given.get(name.lower(), "").strip().encode(errors="replace"), [value.encode()])
            for name, value in self.headers
        ]
        if self.token:
            found.append(fits(basic_or_bearer(headers), [self.token.encode()]))
        elif self.user or self.password:
            wanted = f"{self.user}:{self.password}".encode()
            found.append(fits(user_and_password(headers), [wanted]))
        return self.protects and all(found)


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
