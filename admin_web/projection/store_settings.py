"""The settings that a projection needs of its Redis, so that it loses no listed number and wastes no memory."""

from collections.abc import Sequence

import structlog

from admin_web.projection.live import StoreUnfit, field_of
from admin_web.projection.store import Store
from admin_web.projection.wire import RedisRefused, RedisUnavailable, Wire, words
from compliance.redis_schema import MAX_INTSET_ENTRIES

log = structlog.get_logger()

_INTSETS = {"setting": "set-max-intset-entries", "needed": MAX_INTSET_ENTRIES}


async def require_fit(wire: Wire, *, registries: bool) -> None:
    """Raise StoreUnfit for a Redis that may evict listed numbers.

    With `registries`, also raise StoreUnfit if Redis would need thirty times the memory for them, and refuses a change
    of the setting that causes this. Without registries this waste does not matter, so it is only logged.
    """
    (memory,) = await wire.ask(("INFO", "memory"))
    policy = field_of(memory, "maxmemory_policy")
    if policy.startswith("allkeys"):
        raise StoreUnfit.by_policy(policy)
    entries = await _intset_entries(wire)
    if entries is None or entries >= MAX_INTSET_ENTRIES:
        return
    try:
        await wire.ask(("CONFIG", "SET", "set-max-intset-entries", MAX_INTSET_ENTRIES))
    except RedisRefused as error:
        if registries:
            raise StoreUnfit(
                f"Redis would waste memory on a registry: set its set-max-intset-entries to {MAX_INTSET_ENTRIES}, "
                f"not {entries}"
            ) from None
        log.warning("redis needs more memory than it must", **_INTSETS, found=entries, error=str(error))
    else:
        log.warning("redis was set to need less memory, until it restarts", **_INTSETS, found=entries)


async def _intset_entries(wire: Wire) -> int | None:
    """Return the number of entries up to which Redis stores a set compactly; None if Redis does not report it."""
    error = ""
    try:
        (answer,) = await wire.ask(("CONFIG", "GET", "set-max-intset-entries"))
        if reported := words(answer):
            return int(reported[1])
    except RedisRefused as refused:  # Hosted Redis services forbid the CONFIG command, or answer it with nothing.
        error = str(refused)
    log.warning("redis does not report set-max-intset-entries", needed=MAX_INTSET_ENTRIES, error=error)
    return None


async def require_stores_fit(stores: Sequence[Store], *, registries: bool) -> None:
    """Raise StoreUnfit if any of the stores is unfit. Raise RedisUnavailable only if none of them is reachable."""
    away: list[RedisUnavailable] = []
    for store in stores:
        try:
            async with store.wire() as wire:
                await require_fit(wire, registries=registries)
        except StoreUnfit:
            raise
        except RedisUnavailable as error:
            away.append(error)
    if len(away) == len(stores):
        raise away[0]
