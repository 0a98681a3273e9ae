"""How a sender shows who it is: keys and passwords in headers, compared in constant time."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence


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
