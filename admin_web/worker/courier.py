"""Sending of webhook deliveries that are due, to each receiver at its own pace."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime

import structlog
from aiohttp import ClientSession

from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.settings import AdminSettings
from admin_web.webhooks.reach import opened_session, send
from admin_web.webhooks.signature import signed_headers
from admin_web.worker.deliveries import ClaimedDelivery, Hook, hooks_with_due, note, take

POLL_S = 0.5

log = structlog.get_logger()


class Courier:
    """Sends deliveries. A slow or dead receiver does not delay the others."""

    def __init__(self, database: Database, settings: AdminSettings, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._private = settings.webhook_private
        self._session: ClientSession | None = None
        self._rounds: dict[int, asyncio.Task[None]] = {}

    async def step(self) -> float:
        """Start a round for each webhook with due deliveries and no running round. Return the seconds to wait."""
        for hook in await hooks_with_due(self._database, self._now()):
            if hook.id not in self._rounds:
                self._rounds[hook.id] = asyncio.create_task(self._round(hook))
        return POLL_S

    async def close(self) -> None:
        """Cancel the running rounds; their deliveries are sent again later."""
        for task in list(self._rounds.values()):
            task.cancel()
        await asyncio.gather(*self._rounds.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _round(self, hook: Hook) -> None:
        """Send all due deliveries of one webhook."""
        try:
            while taken := await take(self._database, hook.id, self._now()):
                wrong = await asyncio.gather(*(self._send(hook, one) for one in taken))
                await note(self._database, list(zip(taken, wrong, strict=True)), self._now())
        except DatabaseUnavailable as error:
            log.warning("deliveries delayed", webhook=hook.id, trouble=str(error))
        except Exception:  # A bug must not end the worker. Claimed deliveries are sent again.
            log.exception("deliveries failed", webhook=hook.id)
        finally:
            del self._rounds[hook.id]

    async def _send(self, hook: Hook, one: ClaimedDelivery) -> str:
        body = json.dumps(one.body, separators=(",", ":"), ensure_ascii=False).encode()
        headers = signed_headers(hook.secret, one.event_id, body, self._now())
        if self._session is None:
            self._session = opened_session(private=self._private)
        return await send(self._session, hook.url, headers, body)
