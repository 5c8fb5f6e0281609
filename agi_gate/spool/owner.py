"""The installation that files of decisions on disk belong to, as a short digest of its Redis.

All gates of one Redis, and all shards of one cluster, have the same digest. So a gate never records the decisions of
another installation that uses the same directory.
"""

import hashlib
from urllib.parse import urlsplit

from compliance.redis_masters import Sentinels
from compliance.redis_options import options_of
from compliance.redis_url import read_redis_url

DIGITS = 12


def owner_of(url: str) -> str:
    """Return the digest of the addresses and the database in a Redis URL. It contains no user, password or option."""
    return hashlib.sha256("\n".join(_whereabouts(url)).encode()).hexdigest()[:DIGITS]


def _whereabouts(url: str) -> list[str]:
    """Return what makes a Redis this one: the same for each way to write its URL, and with TLS or without."""
    parsed = read_redis_url(url)
    if isinstance(parsed, Sentinels):
        return ["sentinel", parsed.name, str(int(parsed.db)), *sorted(parsed.addresses)]
    if parsed:
        return ["cluster", *sorted(parsed.addresses)]
    parts = urlsplit(url)
    is_socket = parts.scheme == "unix"
    # The option `db` comes before the path (redis-py, connection.parse_url).
    named = dict(options_of(parts.scheme, parts.query)).get("db") or ("" if is_socket else parts.path.strip("/"))
    where = parts.path if is_socket else f"{parts.hostname}:{parts.port or 6379}"
    return [where, str(int(named or 0))]
