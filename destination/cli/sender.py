"""Sends calls to a receiver's webhook, as their source does: signed, and again after a 503."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import requests

from destination.errors import Problem
from destination.model.reason import REFUSALS
from destination.partners.base.source import Source

#: Seconds for which a receiver that is away, or busy, is tried again.
RETRY_FOR = 60.0


class _Said(TypedDict, total=False):
    """An element of `results`, or the error that a lone call was answered."""

    messageId: str | None
    outcome: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the receiver says of one call."""

    #: None for a body that could not be read at all.
    message_id: str | None
    #: accepted, duplicate or discarded.
    outcome: str
    reason: str | None

    @classmethod
    def read(cls, answer: _Said) -> "Answer":
        """From an element of `results`, or from the error that a lone call was answered."""
        return cls(
            message_id=answer.get("messageId"),
            outcome=answer.get("outcome", "discarded"),
            reason=answer.get("reason"),
        )

    @property
    def word(self) -> str:
        """As `outcome_word`."""
        return outcome_word(self.outcome, self.reason)


def outcome_word(outcome: str, reason: str | None) -> str:
    """The outcome, with what was refused told apart from what a rule dropped."""
    return "refused" if reason in REFUSALS else outcome


class Sender:
    """Sends to one receiver."""

    def __init__(self, url: str, source: Source) -> None:
        self.url = url
        self._source = source
        self._session = requests.Session()
        self._reached = False

    def send(self, texts: Sequence[str]) -> list[Answer]:
        """Send calls, given as JSON texts, in one request: a result for each.

        Raises Problem when the receiver does not take them.
        """
        body = texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"
        answer = self._post(body.encode())
        if answer.status_code in (200, 400):
            return [Answer.read(result) for result in answer.json().get("results", [answer.json()])]
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            message = answer.text[:200]
        raise Problem(f"{self.url} answered {answer.status_code}: {message}")

    def _post(self, body: bytes) -> requests.Response:
        tried_until = time.monotonic() + RETRY_FOR
        while True:
            try:
                answer = self._session.request(
                    "POST", self.url, data=body, headers=self._headers(body), timeout=30
                )
            except requests.RequestException as error:
                if not self._reached or time.monotonic() > tried_until:
                    raise Problem(f"{self.url} cannot be reached. Is the receiver up?") from error
                wait = 1.0
            else:
                self._reached = True
                if answer.status_code not in (429, 503) or time.monotonic() > tried_until:
                    return answer
                wait = float(answer.headers.get("Retry-After", 1))
            time.sleep(wait)

    def _headers(self, body: bytes) -> dict[str, str]:
        return {"Content-Type": "application/json", **self._source.vouch(body)}
