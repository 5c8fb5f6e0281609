"""The rate limit of each token, and the headers that report it.

`RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-10. Each process of the site counts for
itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from aiohttp import web

from admin_web.people.tokens import USUAL_PER_MINUTE

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """What a token has left after a request. `allowed` is false if the request came too soon."""

    per_minute: int
    left: float
    allowed: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the response. `t` is the time until the whole quota is available again."""
        full_s = ceil((self.per_minute - self.left) * WINDOW_S / self.per_minute)
        return {
            "RateLimit-Policy": f'"token";q={self.per_minute};w={WINDOW_S}',
            "RateLimit": f'"token";r={int(self.left)};t={full_s}',
        }

    @property
    def retry_after_s(self) -> int:
        """Seconds until the next request is allowed."""
        return max(1, ceil((1 - self.left) * WINDOW_S / self.per_minute))


class Quotas:
    """How many requests each token has left: its quota at most, which comes back over a minute."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[float, datetime]] = {}

    def take(self, token_id: int, per_minute: int | None, at: datetime) -> Quota:
        """Count a request of a token at `at` (aware UTC)."""
        most = per_minute or USUAL_PER_MINUTE
        left, since = self._kept.get(token_id, (float(most), at))
        left = min(float(most), left + max((at - since).total_seconds(), 0) * most / WINDOW_S)
        allowed = left >= 1
        left -= 1 if allowed else 0
        self._kept[token_id] = left, at
        return Quota(most, left, allowed)


QUOTAS = web.AppKey("quotas", Quotas)
QUOTA = web.RequestKey("quota", Quota)


def quota_headers(request: web.Request) -> Mapping[str, str]:
    """Return the headers of a response; none if the request had no valid token.

    `on_response_prepare` cannot add them: behind a proxy it gets the request as it arrived, without the quota.
    """
    quota = request.get(QUOTA)
    return {} if quota is None else quota.headers
