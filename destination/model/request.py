"""A request is one HTTP request to a destination, as its partner writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from destination.model.verdict import Exchange


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request to a destination, without its address and credentials."""

    method: str
    #: Below the destination's address, percent-encoded: `/customers`.
    path: str
    #: JSON text, or None for a request without a body.
    body: str | None = None
    #: Sent twice, it does what it does once: so it is retried when its answer is lost.
    idempotent: bool
    #: Reads an answer that the table of verdicts cannot classify: a reason for which the delivery
    #: fails, or None to go on.
    objection: Callable[[Exchange], str | None] | None = None
    #: Headers of this very sending, from its moment in seconds since 1970 UTC: a signature.
    sign: Callable[[float], Mapping[str, str]] | None = None
