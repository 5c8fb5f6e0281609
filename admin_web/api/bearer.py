"""Authentication by bearer token and scope, with a limit on wrong tokens per address."""

import re
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from admin_web.api.problem import Problem
from admin_web.api.quotas import QUOTA, QUOTAS, Quota
from admin_web.api.tools import TOOLS, peer_of
from admin_web.people.addresses import within
from admin_web.people.tokens import PREFIX, Scope, Token, live_token, record_use
from admin_web.services import Actor, Database, DatabaseUnavailable
from compliance.addresses import network_of

_CREDENTIALS = re.compile(rf"bearer +({PREFIX}[A-Za-z0-9_-]{{43}})", re.ASCII | re.IGNORECASE)
_REALM = 'Bearer realm="dnc-gate"'


@dataclass(frozen=True, slots=True)
class Bearer:
    """The token of a request, and the actor that its changes are recorded under."""

    token_id: int
    actor: Actor


class Failures:
    """How many more wrong tokens each address may send: at most `MOST`, and one more every `REFILL_S` seconds.

    A valid token is always accepted, so nobody can lock the CRM out by sending wrong ones from its address. A token has
    256 random bits and cannot be guessed; this limit protects against floods. Each process of the site keeps its
    own count.
    """

    MOST, REFILL_S = 30.0, 2.0
    ADDRESSES = 10_000

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def take(self, address: str, at: datetime) -> bool:
        """Count a failure. Return False when the address has failed too often."""
        left, since = self._buckets.pop(address, (self.MOST, at))
        left = min(self.MOST, left + (at - since).total_seconds() / self.REFILL_S)
        self._buckets[address] = (max(left - 1, 0.0), at)
        if len(self._buckets) > self.ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1


FAILURES = web.AppKey("failures", Failures)


async def bearer_of(request: web.Request, scope: Scope) -> Bearer:
    """Return who sent a request, by its Authorization header alone. Raises Problem unless the token has the scope."""
    tools = request.app[TOOLS]
    at, database = tools.now(), tools.database
    token = await _live_token(request, at)
    who = Actor(f"token:{token.name}"[:64], peer_of(request))
    if not within(who.address, token.addresses):
        await tools.security.audit("token-refused", "token", token.name, who, why="address")
        raise Problem("forbidden", f"This token may not be used from your address ({who.address or 'unknown'}).")
    await _take_quota(request, who, token.name, request.app[QUOTAS].take(token.id, token.per_minute, at))
    await _note_use(database, token.id, token.last_used_at, at)
    if scope not in token.scopes:
        await tools.security.audit("forbidden", "token", token.name, who, scopes=scope)
        header = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
        said = f"This operation needs a token with the scope {scope}; yours has {', '.join(token.scopes)}."
        raise Problem("forbidden", said, headers={"WWW-Authenticate": header})
    return Bearer(token.id, who)


async def require_still_valid(request: web.Request) -> None:
    """Check the token again, after an upload, which may take hours. Raises Problem if it was revoked meanwhile."""
    await _live_token(request, request.app[TOOLS].now())


async def _live_token(request: web.Request, at: datetime) -> Token:
    """Return the record of the request's token. Raises Problem."""
    found = _CREDENTIALS.fullmatch(request.headers.get("Authorization", ""))
    token = await live_token(request.app[TOOLS].database, found[1], at) if found else None
    if token is None:
        raise await _unknown(request, at, shown="Authorization" in request.headers)
    return token


async def _take_quota(request: web.Request, who: Actor, name: str, quota: Quota) -> None:
    """Report the rate limit in the response. Raises Problem if it is reached."""
    request[QUOTA] = quota
    if not quota.allowed:
        await request.app[TOOLS].security.audit("throttled", "token", name, who, limit="token")
        said = f"This token may send {quota.per_minute:,} requests a minute. Wait before you send the next one."
        raise Problem("too-many-requests", said, headers={"Retry-After": str(quota.retry_after_s)})


async def _unknown(request: web.Request, at: datetime, *, shown: bool) -> Problem:
    stranger = Actor("", peer_of(request))
    if shown:
        await request.app[TOOLS].security.audit("token-refused", "token", "", stranger, why="unknown")
    if shown and not request.app[FAILURES].take(network_of(stranger.address), at):
        said = "Too many wrong tokens came from your address. Wait before you send another one."
        return Problem("too-many-requests", said, headers={"Retry-After": "60"})
    said = "This token is unknown, expired or revoked." if shown else "Send the header Authorization: Bearer TOKEN."
    header = f'{_REALM}, error="invalid_token"' if shown else _REALM
    return Problem("unauthorized", f"{said} An admin makes tokens in the site.", headers={"WWW-Authenticate": header})


async def _note_use(database: Database, token_id: int, last: datetime | None, at: datetime) -> None:
    with suppress(DatabaseUnavailable):  # The request need not fail: a use one minute later writes again.
        await record_use(database, token_id, last, at)
