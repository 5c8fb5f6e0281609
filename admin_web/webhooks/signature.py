"""Signatures of deliveries as specified at https://www.standardwebhooks.com. Receivers can use existing libraries.

The key signs `<id>.<timestamp>.<body>` with HMAC-SHA256. A receiver should compare the signature in constant time,
refuse a timestamp that differs from its own clock by more than five minutes (against replays of recorded deliveries),
and remember ids for the same time, to recognise a repeated delivery.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from datetime import datetime

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret() -> str:
    """Return a random secret: `whsec_` and 256 bits in base 64."""
    return PREFIX + b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def signed_headers(secret: str, event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers that sign `body` as sent at `at` (aware UTC)."""
    timestamp = str(int(at.timestamp()))
    key = b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }
