"""Where a webhook may lead, and sending it there.

Whoever adds a webhook has this machine send requests: they must not reach what only this machine can. The address is
checked where the socket is made, so the one that was checked is the one that is connected to, whatever the name says a
moment later; redirects are not followed, and no proxy of the environment is used.
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
"""Bytes of an answer that are read, to use the connection again; what it says does not matter."""

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The name leads to an address within this network."""


def checked_url(text: str, *, http: bool, private: bool) -> str:
    """Give a webhook's address as it is asked for. Raises Unwritable."""
    try:
        url = URL(text.strip())
        port = url.port
    except ValueError:
        raise Unwritable("This is no URL. Write https://HOST/PATH.") from None
    if url.scheme not in {"https", *(["http"] if http else [])} or not url.host or port is None:
        more = "" if http else " Plain http needs the setting DNC_WEBHOOK_HTTP."
        raise Unwritable(f"Write https://HOST/PATH.{more}")
    if url.user is not None or url.password is not None or url.fragment:
        raise Unwritable("Leave user, password and #fragment out of the URL; the signature proves who sends.")
    if len(str(url)) > LONGEST_URL:
        raise Unwritable(f"The URL is longer than {LONGEST_URL} characters.")
    if not private and _is_private_literal(url.host):
        raise Unwritable("This address is within a private network. The setting DNC_WEBHOOK_PRIVATE would allow it.")
    return str(url)


def opened_session(*, private: bool) -> ClientSession:
    """Open what deliveries are sent by; with `private`, to any address at all."""
    connector = TCPConnector(limit=0, socket_factory=None if private else _public_socket)
    return ClientSession(
        connector=connector,
        timeout=ClientTimeout(total=TIMEOUT_S),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def send(session: ClientSession, url: str, headers: dict[str, str], body: bytes) -> str:
    """Post a delivery; give what was wrong with that, and nothing when it was taken (any 2xx)."""
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
    """Tell whether an address is one of the public internet, also when it is wrapped in one of IPv6."""
    if isinstance(address, IPv6Address) and (inner := _wrapped(address)) is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Give the IPv4 address that an IPv6 one carries: mapped, 6to4, Teredo's client, or NAT64."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for one resolved address, given as `getaddrinfo` does. Raises AddressRefused."""
    family, kind, protocol, _, (host, *_) = info
    if not is_public(ip_address(str(host).partition("%")[0])):
        raise AddressRefused(f"{host} is an address of a private network, so nothing was sent")
    return socket.socket(family, kind, protocol)


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
