"""The secrets in a program's settings, so that its log can mask them."""

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

_IN_URL = re.compile(r"://[^/?#]*?:([^/?#]*)@|[?&;][a-z_]*password=([^&;#]*)", re.IGNORECASE)
_OF_LIBPQ = "PGPASSWORD"


def secrets_of(urls: Iterable[str], plain: Iterable[str] = ()) -> frozenset[str]:
    """Return the passwords in `urls`, as written and decoded, those in `plain`, and that of libpq's environment."""
    found = {secret for url in urls for secret in _in_url(url)}
    return frozenset(found | {*plain, os.environ.get(_OF_LIBPQ, "")} - {""})


def _in_url(url: str) -> Iterator[str]:
    for groups in _IN_URL.findall(url):
        for secret in filter(None, groups):
            yield from (secret, unquote(secret))
