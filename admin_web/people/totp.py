"""One-time codes of an authenticator app (RFC 6238: six digits, thirty seconds, SHA-1)."""

import re
from datetime import datetime
from hmac import compare_digest

import pyotp

STEP_S = 30
DRIFT = 1
"""Number of time steps that a telephone's clock may be fast or slow."""

ISSUER = "dnc-gate"

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """Return a random secret: 32 characters of base 32."""
    return pyotp.random_base32()


def uri(secret: str, name: str) -> str:
    """Return the `otpauth` URI that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, at: datetime, last_step: int) -> int | None:
    """Return the time step of a code.

    Returns None if the code is wrong, or its step is not after `last_step`, because it was used already.
    """
    code = code.replace(" ", "")
    if not _CODE.fullmatch(code):
        return None
    now = int(at.timestamp()) // STEP_S
    totp = pyotp.TOTP(secret)
    for step in range(now - DRIFT, now + DRIFT + 1):
        if step > last_step and compare_digest(totp.at(step * STEP_S), code):
            return step
    return None
