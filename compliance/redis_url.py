"""The URL of the projection's Redis: one server, a master behind Sentinel, or a cluster.

    redis://[USER:PASSWORD@]HOST:PORT/DB    rediss://… with TLS    unix:///PATH/TO/SOCKET
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…/NAME[/DB][?OPTIONS]    rediss+sentinel://… with TLS
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…[?OPTIONS]    rediss+cluster://… with TLS

USER and PASSWORD are those of the master, or of every node of the cluster. The options `sentinel_username` and
`sentinel_password` are for the sentinels. All other options are for the master or node; those that begin with `ssl_`
are for the sentinels too. A few addresses of a cluster are enough, because each node knows the others.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from compliance.redis_connection import error_reply
from compliance.redis_masters import Cluster, Sentinels
from compliance.redis_options import options_of

URL_HELP = (
    "write redis://HOST:PORT/DB, rediss://… for TLS, unix:///PATH/TO/SOCKET, "
    "redis+sentinel://HOST:PORT,HOST:PORT/NAME for Sentinel, or redis+cluster://HOST:PORT,HOST:PORT for a cluster"
)
DIRECT_SCHEMES = {"redis", "rediss", "unix"}
SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
NO_SOCKET = (
    "there is no such socket; set DNC_REDIS_URL, to redis://127.0.0.1:6379 say, "
    "or start the private Redis with scripts/up"
)
"""The message for an operator who has not set a URL while no private Redis runs."""
NOTHING_LISTENS = "nothing listens there; check that this Redis runs, and check DNC_REDIS_URL"

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379

ESCAPES = "In user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"

_DATABASE = re.compile(r"/?|/[0-9]{1,9}", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(?::([0-9]{1,5}))?")


def read_redis_url(url: str) -> Sentinels | Cluster | None:
    """Parse the URL of the projection's Redis; return None for a plain one.

    Raises ValueError with a message that shows the valid forms.
    """
    scheme = url.partition("://")[0]
    if scheme in CLUSTER_SCHEMES:
        return _cluster(url)
    if scheme in SENTINEL_SCHEMES:
        return _sentinels(url)
    if scheme not in DIRECT_SCHEMES or not _is_plain(url):
        raise ValueError(f"{URL_HELP}. {ESCAPES}")
    options_of(scheme, urlsplit(url).query)
    return None


def _is_plain(url: str) -> bool:
    """Return whether the URL of one server can be parsed, and no part of a password is taken for something else.

    The characters / ? # end the host. So a password that contains one of them unescaped ends in the port, the path or
    the options. No message may then show these, because redis-py and urlsplit would.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.fragment or "@" in parts.path + parts.query or "@" in (parts.username or "") + (parts.password or ""):
        return False
    if parts.scheme == "unix":
        return bool(parts.path) and not host and port is None
    return bool(host) and _is_host(host or "") and _DATABASE.fullmatch(parts.path) is not None


def without_secrets(url: str) -> str:
    """Return a Redis URL that is safe to show: without user, password and options."""
    return re.sub("//[^/]*@", "//", url.partition("?")[0])


def unreachable(url: str, error: Exception) -> str:
    """Return why the Redis at `url` could not be reached. If nothing listens there, say what to do."""
    # redis-py may raise its own error while it handles the FileNotFoundError, which is then in __context__.
    missing = isinstance(error, FileNotFoundError) or isinstance(error.__context__, FileNotFoundError)
    if missing and url.startswith("unix:"):
        return NO_SOCKET
    refused = any(isinstance(one, ConnectionRefusedError) for one in (error, error.__context__, error.__cause__))
    return NOTHING_LISTENS if refused else error_reply(error)


class _Parts(NamedTuple):
    scheme: str
    hosts: str
    path: str
    query: str


def _split(url: str) -> _Parts:
    """Split a URL of several hosts (RFC 3986, appendix B)."""
    # urlsplit refuses an IPv6 address among several hosts since the fix of CVE-2025-0938 (CPython gh-105704).
    scheme, _, rest = url.partition("#")[0].partition("://")
    rest, _, query = rest.partition("?")
    hosts, slash, path = rest.partition("/")
    return _Parts(scheme, hosts, slash + path, query)


def _sentinels(url: str) -> Sentinels:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    name, _, db = parts.path.removeprefix("/").partition("/")
    if not name or not (db or "0").isdecimal() or "@" in parts.path + parts.query or "#" in url:
        raise ValueError(
            f"name the master after the sentinels: redis+sentinel://HOST:PORT,HOST:PORT/NAME or …/NAME/DB. {ESCAPES}"
        )
    options = options_of(parts.scheme, parts.query)
    if any(option == "db" for option, _ in options):
        raise ValueError("write the number of the database after the master's name: …/NAME/DB")
    # A sentinel that is written twice must not count twice for a majority.
    addresses = tuple(dict.fromkeys(_address(host.strip()) for host in hosts.split(",")))
    return Sentinels(SENTINEL_SCHEMES[parts.scheme], user + at, addresses, unquote(name), db or "0", options)


def _cluster(url: str) -> Cluster:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    if parts.path.strip("/") or "@" in parts.query or "#" in url:
        raise ValueError(f"a cluster has only database 0: write redis+cluster://HOST:PORT,HOST:PORT. {ESCAPES}")
    options = options_of(parts.scheme, parts.query)
    if any(option == "db" for option, _ in options):
        raise ValueError("a cluster has only database 0: leave db out")
    addresses = tuple(_address(host.strip(), CLUSTER_PORT, "node") for host in hosts.split(","))
    return Cluster(CLUSTER_SCHEMES[parts.scheme], user + at, addresses, options)


def _address(host: str, port: int = SENTINEL_PORT, what: str = "sentinel") -> str:
    found = _ADDRESS.fullmatch(host)
    if found is None or int(found[2] or port) > 65535 or not _is_host(found[1]):
        raise ValueError(f"write each {what} as HOST or HOST:PORT, separated by commas. {ESCAPES}")
    return f"{found[1]}:{found[2] or port}"


def _is_host(name: str) -> bool:
    """Return whether a host name can be looked up: an impossible one raises UnicodeError (socket.getaddrinfo)."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True
