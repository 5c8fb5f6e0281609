"""Sending webhooks, and the addresses to which they may be sent.

A webhook makes this machine send requests, so a webhook must not reach services that only this machine can reach. The
address is checked when the socket is created. So the connection goes to the address that was checked, even if the name
resolves to another address a moment later. Redirects are not followed, and proxies of the environment are not used.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from compliance.refusal import Unwritable

Address: TypeAlias = IPv4Address | IPv6Address

LONGEST_URL = 2000
TIMEOUT_S = 10
MOST_OF_AN_ANSWER = 4096
"""Maximum bytes of a response that are read, so that the connection can be reused. The content is ignored."""

# IANA has allocated only this block for addresses that the whole Internet can reach (RFC 3513, 4; IANA, "IPv6 Global
# Unicast Address Assignments"). Everything else is special, such as the deprecated ::/96 and fec0::/10.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_NAT64 = IPv6Network("64:ff9b::/96")
"""The translator's well-known prefix (RFC 6052). Other prefixes, such as 64:ff9b:1::/48 (RFC 8215), are private."""

_SPECIAL = tuple(IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20"))
"""Blocks of protocols and of documentation (IANA, "IPv6 Special-Purpose Address Registry")."""

_SPECIAL_IPV4 = IPv4Network("192.88.99.0/24")
"""Relays of 6to4 (RFC 7526), which `is_global` of the standard library does not know."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""Bits 64 to 95 of an address whose last 32 bits are an IPv4 address (RFC 5214, 6.1)."""


class AddressRefused(OSError):
    """The host name resolves to an address of a private network."""


def checked_url(text: str, *, http: bool, private: bool) -> str:
    """Return the normalised URL of a webhook. Raises Unwritable.

    `http` allows plain http; `private` allows loopback and private addresses.
    """
    try:
        url = URL(text.strip())
        port = url.port
    except ValueError:
        raise Unwritable("This is not a URL. Write https://HOST/PATH.") from None
    if url.scheme not in {"https", *(["http"] if http else [])} or not url.host or port is None:
        more = "" if http else " Plain http needs the setting DNC_WEBHOOK_HTTP."
        raise Unwritable(f"Write https://HOST/PATH.{more}")
    if url.user is not None or url.password is not None or url.fragment:
        raise Unwritable("Leave user, password and #fragment out of the URL; the signature proves who sends.")
    if len(str(url)) > LONGEST_URL:
        raise Unwritable(f"The URL is longer than {LONGEST_URL} characters.")
    if not private and _is_private_literal(url.host):
        raise Unwritable("This address is in a private network. The setting DNC_WEBHOOK_PRIVATE would allow it.")
    return str(url)


def opened_session(*, private: bool) -> ClientSession:
    """Open the HTTP session that sends deliveries. With `private` it connects to any address."""
    connector = TCPConnector(limit=0, socket_factory=None if private else _public_socket)
    return ClientSession(
        connector=connector,
        timeout=ClientTimeout(total=TIMEOUT_S),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def send(session: ClientSession, url: str, headers: dict[str, str], body: bytes) -> str:
    """Post a delivery. Returns "" if the receiver answered 2xx, otherwise a sentence about the failure."""
    sent = {**headers, "Content-Type": "application/json", "User-Agent": "dnc-gate", "Accept-Encoding": "identity"}
    try:
        async with session.post(url, data=body, headers=sent, allow_redirects=False) as answer:
            await answer.content.read(MOST_OF_AN_ANSWER)
            return "" if 200 <= answer.status < 300 else f"It answered {answer.status}."
    except TimeoutError:
        return f"It did not answer within {TIMEOUT_S} seconds."
    except (ClientError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def is_public(address: Address) -> bool:
    """Return whether the whole Internet can reach an address. IPv4 addresses inside an IPv6 address decide for it."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in _SPECIAL_IPV4
    if inner := _wrapped(address):
        return all(map(is_public, inner))
    return address.is_global and address in _GLOBAL_UNICAST and not any(address in block for block in _SPECIAL)


def _wrapped(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses inside an IPv6 address: IPv4-mapped, NAT64, 6to4, Teredo (both) or ISATAP."""
    if address.teredo:
        return address.teredo
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    inner = address.ipv4_mapped or address.sixtofour
    return (inner,) if inner else ()


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for one address, in the form that `getaddrinfo` returns. Raises AddressRefused."""
    family, kind, protocol, _, (host, *_) = info
    if not is_public(ip_address(str(host).partition("%")[0])):
        raise AddressRefused(f"{host} is an address of a private network, so nothing was sent")
    return socket.socket(family, kind, protocol)


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
