"""Sending webhooks, and the addresses to which they may be sent.

A webhook makes this machine send requests, so a webhook must not reach services that only this machine can reach. The
address is checked when the socket is created. So the connection goes to the address that was checked, even if the name
resolves to another address a moment later. Redirects are not followed, and proxies of the environment are not used.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from compliance.refusal import Unwritable

Address: TypeAlias = IPv4Address | IPv6Address

LONGEST_URL = 2000
TIMEOUT_S = 10
MOST_OF_AN_ANSWER = 4096
"""Maximum bytes of a response that are read, so that the connection can be reused. The content is ignored."""

_NAT64 = IPv6Network("64:ff9b::/96")


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
    """Return whether an address is public. If an IPv6 address contains an IPv4 address, the IPv4 address decides."""
    if isinstance(address, IPv6Address) and (inner := _wrapped(address)) is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address contains (IPv4-mapped, 6to4, Teredo client or NAT64), if any."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


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
