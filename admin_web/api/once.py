"""Reject the second of two simultaneous requests with the same idempotency key, within one process.

In another process the second request waits for the transaction of the first: see `services/idempotency.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from admin_web.api.problem import Problem

UNDER_WAY = web.AppKey("under_way", set[tuple[int, str]])
"""The token id and key of each request that this process is carrying out."""


@contextmanager
def alone(under_way: set[tuple[int, str]], token_id: int, text: str) -> Iterator[None]:
    """Hold a key, if any, while its request is read and carried out. Raises Problem if another request holds it."""
    held = token_id, text
    if held in under_way:
        said = "A request with this Idempotency-Key is being carried out. Repeat it in a moment to get its response."
        raise Problem("still-at-it", said, headers={"Retry-After": "1"})
    if text:
        under_way.add(held)
    try:
        yield
    finally:
        under_way.discard(held)
