"""The address, scheme and host of a request's client, from the headers of trusted reverse proxies only.

Each proxy appends to X-Forwarded-For the address that it was contacted from. So the list is read from the right: past
each trusted address, to the first other one. What stands further left was sent by the client, and is neither believed
nor a reason to refuse the request.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from compliance.addresses import Address, address_of
from compliance.networks import Network

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}
_HEALTH = ("/healthz", "/readyz")

SECURE = web.RequestKey("secure", bool)
"""Whether the client uses HTTPS. `on_response_prepare` gets the request as it arrived, whose scheme is the proxy's."""

NO_HOST = "The header Host is missing or malformed.\n"
OTHER_HOST = "This server has no site of this name. The setting DNC_WEB_HOSTS names those that it has.\n"


@dataclass(frozen=True, slots=True)
class Client:
    """What a request's client is: its address, its scheme, and the host that it asked for, `HOST` or `HOST:PORT`."""

    remote: str
    scheme: str
    host: str


def address_in(text: str) -> Address | None:
    """Return the address in an entry of X-Forwarded-For or Forwarded; None for `unknown`, a name or anything else.

    The entry may have a port, brackets, quotes and a zone. An IPv4 address in IPv6 form is the IPv4 address.
    """
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return address_of(text)


def is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    """Return whether an address is that of a trusted proxy."""
    return address is not None and any(address in network for network in trusted)


def client_of(peer: Client, headers: Mapping[str, Sequence[str]], trusted: Sequence[Network]) -> Client:
    """Return the client of a request that came from `peer`. `headers` has all values of each header, by lower name.

    The headers Forwarded and X-Forwarded-For mean the same; if both are there, X-Forwarded-For counts.
    """
    address = address_in(peer.remote)
    if not is_trusted(address, trusted):
        return peer
    forwarded = _forwarded(headers.get("forwarded", ())) if not headers.get("x-forwarded-for") else []
    left = [one.get("for", "") for one in forwarded] or _values(headers, "x-forwarded-for")
    proxies = 1
    while left and (found := address_in(left.pop())) is not None:
        address = found
        if not is_trusted(address, trusted):
            break
        proxies += 1
    schemes = [one.get("proto", "") for one in forwarded] or _values(headers, "x-forwarded-proto")
    hosts = [one.get("host", "") for one in forwarded] or _values(headers, "x-forwarded-host")
    ports = [] if forwarded else _values(headers, "x-forwarded-port")
    scheme = _outermost(schemes, proxies).lower()
    scheme = scheme if scheme in _PORTS else peer.scheme
    host = _with_port(_outermost(hosts, proxies) or peer.host, _outermost(ports, proxies), scheme)
    return Client(str(address), scheme, host if _HOST.fullmatch(host) else peer.host)


def same_host(left: str, right: str, scheme: str) -> bool:
    """Return whether two hosts are the same. The default port of the scheme may be written or left out."""
    return _plain_host(left, scheme) == _plain_host(right, scheme)


def host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """Return whether a host is among the allowed names. `*.example.com` allows each name below example.com."""
    found = _HOST.fullmatch(host)
    name = found[1].lower().rstrip(".") if found else ""
    return any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in allowed)


def forwarding(trusted: Sequence[Network], hosts: Sequence[str], root: str = "") -> Middleware:
    """Return the middleware that finds the client of each request, and refuses hosts that are not allowed.

    Without `hosts`, every host is allowed. Health checks may use any host, because they use addresses. `root` is the
    path under which the site is reached.
    """
    health = {f"{prefix}{path}" for prefix in ("", root) for path in _HEALTH}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = Client(request.remote or "", request.scheme, request.host)
        names = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port")
        client = client_of(peer, {name: request.headers.getall(name, ()) for name in names}, trusted)
        if hosts and request.path not in health and not host_allowed(client.host, hosts):
            malformed = not _HOST.fullmatch(client.host)
            raise web.HTTPBadRequest(text=NO_HOST) if malformed else web.HTTPMisdirectedRequest(text=OTHER_HOST)
        request[SECURE] = client.scheme == "https"
        if client != peer:
            request = request.clone(remote=client.remote, scheme=client.scheme, host=client.host)
        return await handler(request)

    return middleware


def warning_of(bind: str, trusted: Sequence[Network]) -> str:
    """Return what is risky about the address on which the site answers; empty if nothing is."""
    host = bind.rpartition(":")[0].strip("[]")
    address = address_in(host)
    if trusted or host == "localhost" or (address is not None and address.is_loopback):
        return ""
    return (
        "DNC_WEB_BIND is not a loopback address and DNC_WEB_PROXIES is empty, so passwords cross the network "
        "unencrypted; put a reverse proxy with TLS before the site (docs/proxy.md)"
    )


def _values(headers: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the values of a list header, from all headers of this name."""
    return [one.strip() for value in headers.get(name, ()) for one in value.split(",")]


def _forwarded(values: Sequence[str]) -> list[dict[str, str]]:
    """Parse the header Forwarded (RFC 7239). No element may be skipped, because each one is a hop."""
    elements = []
    for element in ",".join(values).split(",") if values else ():
        pairs = (pair.partition("=") for pair in element.split(";"))
        elements.append({name.strip().lower(): value.strip().strip('"') for name, _, value in pairs})
    return elements


def _outermost(values: Sequence[str], proxies: int) -> str:
    """Return what the outermost trusted proxy said, if each of `proxies` appended a value, or else the first value."""
    return values[-min(proxies, len(values))] if values else ""


def _with_port(host: str, port: str, scheme: str) -> str:
    found = _HOST.fullmatch(host)
    given = port.isdecimal() and port != _PORTS[scheme]
    return f"{host}:{port}" if found and not found[2] and given else host


def _plain_host(host: str, scheme: str) -> str:
    return host.lower().removesuffix(f":{_PORTS.get(scheme, '')}")
