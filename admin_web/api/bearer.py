"""Who calls: a bearer token and its scopes, and how often somebody may present a wrong one."""

import re
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from admin_web.api.problem import Problem
from admin_web.api.tools import TOOLS, peer_of
from admin_web.people.tokens import PREFIX, Scope, live_token, record_use
from admin_web.services import Actor, Database, DatabaseUnavailable

_CREDENTIALS = re.compile(rf"bearer +({PREFIX}[A-Za-z0-9_-]{{43}})", re.ASCII | re.IGNORECASE)
_REALM = 'Bearer realm="dnc-gate"'


@dataclass(frozen=True, slots=True)
class Bearer:
    """The token that a request bears, and who that is on record."""

    token_id: int
    actor: Actor


class Failures:
    """How many more wrong tokens each address may present: a bucket of `MOST` that fills by one every `REFILL_S`.

    A right token is always taken: nobody locks the CRM out by failing from its address. A token has 256 random bits,
    so this holds off floods, not guesses, and each site process counts for itself.
    """

    MOST, REFILL_S = 30.0, 2.0
    ADDRESSES = 10_000

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def take(self, address: str, at: datetime) -> bool:
        """Count a failure; False when the address has failed too often."""
        left, since = self._buckets.pop(address, (self.MOST, at))
        left = min(self.MOST, left + (at - since).total_seconds() / self.REFILL_S)
        self._buckets[address] = (max(left - 1, 0.0), at)
        if len(self._buckets) > self.ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1


FAILURES = web.AppKey("failures", Failures)


async def bearer_of(request: web.Request, scope: Scope) -> Bearer:
    """Tell who sent a request, by its Authorization header alone. Raises Problem unless their token has the scope."""
    tools = request.app[TOOLS]
    at, database = tools.now(), tools.database
    found = _CREDENTIALS.fullmatch(request.headers.get("Authorization", ""))
    token = await live_token(database, found[1], at) if found else None
    if token is None:
        raise _unknown(request, at, shown="Authorization" in request.headers)
    await _note_use(database, token.id, token.last_used_at, at)
    if scope not in token.scopes:
        header = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
        said = f"This needs a token with the scope {scope}; yours has {', '.join(token.scopes)}."
        raise Problem("forbidden", said, headers={"WWW-Authenticate": header})
    return Bearer(token.id, Actor(f"token:{token.name}"[:64], peer_of(request)))


def _unknown(request: web.Request, at: datetime, *, shown: bool) -> Problem:
    if shown and not request.app[FAILURES].take(peer_of(request), at):
        said = "Too many wrong tokens came from your address. Wait before you present another one."
        return Problem("too-many-requests", said, headers={"Retry-After": "60"})
    said = "This token is unknown, ended or revoked." if shown else "Send the header Authorization: Bearer TOKEN."
    header = f'{_REALM}, error="invalid_token"' if shown else _REALM
    return Problem("unauthorized", f"{said} An admin makes one in the site.", headers={"WWW-Authenticate": header})


async def _note_use(database: Database, token_id: int, last: datetime | None, at: datetime) -> None:
    with suppress(DatabaseUnavailable):  # Nobody waits for it, and the next minute it is written again.
        await record_use(database, token_id, last, at)
