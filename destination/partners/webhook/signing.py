"""Standard Webhooks (standardwebhooks.com): how a subscriber knows that a notification is ours."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping


def new_secret() -> str:
    """What signs: `whsec_` and 24 bytes in Base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, *, message_id: str, timestamp: int, body: str) -> str:
    """`v1,` and the Base64 of the HMAC-SHA256 over id, time in seconds and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signature_headers(
    signing: Iterable[str], *, message_id: str, timestamp: int, body: str
) -> Mapping[str, str]:
    """The three headers, with a signature by each secret: two while one replaces the other."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            sign(secret, message_id=message_id, timestamp=timestamp, body=body)
            for secret in signing
        ),
    }
