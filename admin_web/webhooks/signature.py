"""The signature of a delivery, as https://www.standardwebhooks.com has it: receivers find a library for it.

The key signs `<id>.<timestamp>.<body>` with HMAC-SHA256. A receiver compares the signature in constant time, refuses a
timestamp that is more than five minutes off its own clock (a recorded delivery cannot be played to it again later),
and keeps ids for as long, to know one that came twice.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from datetime import datetime

PREFIX = "whsec_"
KEY_BYTES = 32


def new_secret() -> str:
    """Make up a secret: `whsec_` and 256 random bits in base 64."""
    return PREFIX + b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def signed_headers(secret: str, event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Give the headers that prove who sent `body`, and when (aware UTC)."""
    timestamp = str(int(at.timestamp()))
    key = b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }
