"""Standard Webhooks (standardwebhooks.com), as a subscriber checks them."""

import base64
import hmac
import time

from werkzeug.datastructures import Headers

#: Seconds that a notification may be old, or ahead.
TOLERANCE = 300


class Signature:
    """What a notification must be signed by; anything goes while no secret is known."""

    def __init__(self) -> None:
        self._key: bytes | None = None

    @property
    def known(self) -> bool:
        """Whether there is a secret to check by."""
        return self._key is not None

    def learn(self, secret: object) -> None:
        """Check by this secret from now on. Raises ValueError for what is none."""
        if not isinstance(secret, str) or not secret.startswith("whsec_"):
            raise ValueError('a secret is a text that begins with whsec_: {"secret": "whsec_…"}')
        self._key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)

    def forget(self) -> None:
        self._key = None

    def fits(self, headers: Headers, body: bytes) -> bool:
        """Whether one of the signatures is of this body, and of this time."""
        if self._key is None:
            return True
        sent_at = headers.get("webhook-timestamp", "")
        if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE:
            return False
        signed = f"{headers.get('webhook-id', '')}.{sent_at}.".encode() + body
        digest = hmac.digest(self._key, signed, "sha256")
        wanted = b"v1," + base64.b64encode(digest)
        given = headers.get("webhook-signature", "").encode().split(b" ")
        return any(hmac.compare_digest(each, wanted) for each in given)
