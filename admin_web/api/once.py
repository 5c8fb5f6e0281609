"""Of two requests with one idempotency key at the same time, the second is turned away by this process.

Another process has it wait for the transaction of the first: see `services/idempotency.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from admin_web.api.problem import Problem

UNDER_WAY = web.AppKey("under_way", set[tuple[int, str]])
"""The keys, by token, of the requests that this process carries out at this moment."""


@contextmanager
def alone(under_way: set[tuple[int, str]], token_id: int, text: str) -> Iterator[None]:
    """Hold a key, if there is one, while its request is read and carried out. Raises Problem when somebody holds it."""
    held = token_id, text
    if held in under_way:
        said = "A request with this Idempotency-Key is being carried out. Ask again in a moment for its answer."
        raise Problem("still-at-it", said, headers={"Retry-After": "1"})
    if text:
        under_way.add(held)
    try:
        yield
    finally:
        under_way.discard(held)
