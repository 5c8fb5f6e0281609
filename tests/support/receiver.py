"""A third party's webhook receiver: a real HTTP server with its own implementation of the signature."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


def is_genuine(secret: str, headers, body: bytes, now: float) -> bool:
    """Return whether a delivery is genuine, as a receiver would check it from docs/api.md alone."""
    key = base64.b64decode(secret.split("_", 1)[1])
    if abs(now - int(headers["webhook-timestamp"])) > 300:
        return False
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(one, f"v1,{wanted}") for one in headers["webhook-signature"].split(" "))


@dataclass
class Receiver:
    """Keeps every delivery in `got`; `answer` chooses the status of the response."""

    answer: Callable[[web.Request], int] = lambda _: 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    delay_s: float = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]

    async def until(self, count: int, within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"only {len(self.got)} deliveries came"
            await asyncio.sleep(0.01)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        await asyncio.sleep(self.delay_s)
        status = self.answer(request)
        return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else {})

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{anywhere:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
