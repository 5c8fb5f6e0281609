"""Browsers in which a person has signed in before. A signed cookie proves it.

A known browser has an allowance of its own for sign-in attempts, so nobody elsewhere can use it up (the device cookies
of the OWASP guide against password guessing). The cookie opens nothing: the password is needed as before. It counts for
one password of the person: who knew an older one may have made any number of cookies.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest, digest

MOST_NAMES = 12
"""The people that one browser is known for, such as those of several shifts at one desk. The last ones count."""

LIFE_S = 180 * 24 * 3600
"""How long a browser keeps the cookie, in seconds since the last sign-in."""

_COOKIE = re.compile(r"([A-Za-z0-9_-]{22})((?:\.[0-9a-f]{32}){1,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class KnownBrowser:
    """What a browser's cookie says: a random id, and one signature for each person who has signed in there."""

    id: str
    marks: tuple[str, ...] = ()
    key: bytes = field(default=b"", repr=False)

    def knows(self, name: str, password_hash: str) -> bool:
        """Return whether this person has signed in with this browser and this password."""
        wanted = self._mark(name, password_hash)
        return any(compare_digest(mark, wanted) for mark in self.marks)

    def with_name(self, name: str, password_hash: str) -> str:
        """Return the cookie after a sign-in of this person."""
        return ".".join([self.id, *self._kept(self._mark(name, password_hash))])

    def _kept(self, mark: str) -> Iterator[str]:
        yield mark
        yield from [other for other in self.marks if other != mark][: MOST_NAMES - 1]

    def _mark(self, name: str, password_hash: str) -> str:
        return digest(self.key, f"{self.id} {name} {password_hash}".encode("utf-8", "replace"), sha256).hex()[:32]


def read_browser(cookie: str, key: bytes) -> KnownBrowser:
    """Read the cookie of a browser. A browser without a readable cookie gets a new id and is known for nobody."""
    found = _COOKIE.fullmatch(cookie)
    if found is None:
        return KnownBrowser(secrets.token_urlsafe(16), key=key)
    return KnownBrowser(found[1], tuple(found[2].split(".")[1:]), key)
