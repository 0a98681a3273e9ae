"""A door: Basic auth, and headers that a request must carry, compared in constant time."""

import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from destination.partners import Unauthorized


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a request must show. What is empty is not asked for."""

    user: str = ""
    password: str = ""
    #: Names, and the values that they must have.
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def closed(self) -> bool:
        """Whether it keeps anybody out."""
        return bool(self.password or self.headers)

    def check(self, headers: Mapping[str, str], *, remedy: str) -> None:
        """Raises Unauthorized, with the remedy, unless the headers show all that is asked for."""
        given = {name.lower(): value for name, value in headers.items()}
        pairs = [(given.get(name.lower(), ""), value) for name, value in self.headers]
        if self.password:
            credentials = _basic(given.get("authorization", ""))
            pairs.append((credentials, f"{self.user}:{self.password}"))
        # All of them are compared: the time it takes tells nothing.
        fits = [
            hmac.compare_digest(shown.encode(errors="replace"), wanted.encode())
            for shown, wanted in pairs
        ]
        if not all(fits):
            raise Unauthorized(remedy)


def header_lines(value: str) -> tuple[tuple[str, str], ...]:
    """`X-Key: abc, X-Other: def` → names and values. Raises ValueError."""
    found = []
    for line in value.split(","):
        name, colon, text = line.partition(":")
        if not (colon and name.strip() and text.strip()):
            raise ValueError("must be headers such as X-Key: abc, X-Other: def")
        found.append((name.strip(), text.strip()))
    return tuple(found)


def _basic(authorization: str) -> str:
    """`user:password` of Basic auth; empty where there is none."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(value.strip(), validate=True).decode()
    except ValueError:
        return ""
