"""Take the number out of a `tel:` or SIP address."""

import re
from urllib.parse import unquote

from compliance.numbers.refusal import InvalidNumber

# RFC 3966 defines tel:, and RFC 3261 (19.1) defines sip: and sips:. Parameters before the @ belong to the number.
_ADDRESS = re.compile(r"(tel:|sips?:)?([^;@]*)((?:;[^;@]*)*)(?:@([^@]*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9.:_\[\]-]+(?:;user=phone|;transport=[a-z]+)*", re.IGNORECASE)
# An extension or an ISDN subaddress (RFC 3966) does not change which telephone rings.
_DROPPED = re.compile(r"(?:;ext=[0-9().-]+|;isub=[0-9a-z.%+-]+)*", re.IGNORECASE)


def without_address(text: str) -> str:
    """Return the number of a `tel:` (RFC 3966) or SIP (RFC 3261) address, without extension and subaddress.

    Return `text` unchanged if it is no such address. Raises InvalidNumber for a malformed address.
    """
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        raise InvalidNumber("malformed-uri")
    scheme, number, parameters, host = parts.groups()
    harmless = _DROPPED.fullmatch(parameters)
    # Unknown parameters must not be dropped. ;phone-context, for example, names the plan that a local number belongs to
    # (RFC 3966), and without it the digits mean another number.
    if not harmless and (scheme or host is not None or "=" in parameters):
        raise InvalidNumber("uri-parameter")
    if not scheme and host is None:
        return number if harmless else text
    is_tel = scheme is not None and scheme.lower() == "tel:"
    if is_tel == (host is not None) or (host is not None and not _HOST.fullmatch(host)):
        raise InvalidNumber("malformed-uri")
    return unquote(number)
