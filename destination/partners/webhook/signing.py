"""Standard Webhooks (standardwebhooks.com): how a subscriber knows that a notification is ours."""

import base64
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook


def new_secret() -> str:
    """A secret to sign with: `whsec_` and 24 random bytes in Base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def signature_headers(
    signing: Iterable[str], *, message_id: str, timestamp: int, body: str
) -> Mapping[str, str]:
    """The three headers of a notification, with a signature by each secret: two while one secret
    replaces another. `timestamp` is in seconds since 1970 UTC.
    """
    moment = datetime.fromtimestamp(timestamp, UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            Webhook(secret).sign(message_id, moment, body) for secret in signing
        ),
    }
