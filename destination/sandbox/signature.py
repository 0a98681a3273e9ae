"""Standard Webhooks (standardwebhooks.com), checked as a subscriber would: by the library."""

import base64

from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug.datastructures import Headers


class Signature:
    """What a notification must be signed by; anything is taken while no secret is known."""

    def __init__(self) -> None:
        self._webhook: Webhook | None = None

    @property
    def known(self) -> bool:
        """Whether there is a secret to check by."""
        return self._webhook is not None

    def learn(self, secret: object) -> None:
        """Check by this secret from now on. Raises ValueError for what is none."""
        key = b""
        if isinstance(secret, str) and secret.startswith("whsec_"):
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        if not key:
            raise ValueError('a secret is whsec_ and Base64: {"secret": "whsec_…"}')
        self._webhook = Webhook(key)

    def forget(self) -> None:
        self._webhook = None

    def fits(self, headers: Headers, body: bytes) -> bool:
        """Whether a signature is of this body, and at most five minutes old or ahead."""
        if self._webhook is None:
            return True
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: it cannot be read
            return False
        return True
