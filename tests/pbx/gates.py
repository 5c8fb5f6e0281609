"""Fake gates with chosen answers, good or bad: small FastAGI peers for failures that a real gate does not show."""

import asyncio
import re
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from typing import Self

Request = dict[str, str]
Behaviour = Callable[[Request, StreamReader, StreamWriter], Awaitable[None]]

DECISION = "019ab3c4d5e6-9f3a1c22-0000001a"


class FakeGate:
    """Serves on loopback in a thread of its own. `heard` has the complete requests."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.heard: list[Request] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._holding: set[StreamWriter] = set()

    def start(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(60)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._holding.add(writer)
        try:
            header = (await reader.readuntil(b"\n\n")).decode(errors="replace")
            request = dict(line.partition(": ")[::2] for line in header.removesuffix("\n\n").split("\n"))
            self.heard.append(request)
            await self.behaviour(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._holding.discard(writer)
            writer.close()

    def break_off(self) -> None:
        """Reset all connections at once, as the kernel does for a killed gate."""

        def reset() -> None:
            for writer in self._holding:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(reset)

    def stop(self) -> None:
        async def close() -> None:
            self._server.close()
            for writer in list(self._holding):
                writer.transport.abort()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


def number(dialed: str) -> str:
    """Return the number of the dialled digits: the last ten, as a number of North America."""
    return "+1" + re.sub(r"\D", "", dialed)[-10:]


def verdict(request: Request, value: str | None = None, reason: str = "not-listed", **changed: str) -> str:
    """Return the command of the gate's answer, by default ALLOW for the channel of the request."""
    value = f"ALLOW-{request['agi_uniqueid']}" if value is None else value
    pairs = {
        "DNC_VERDICT": value,
        "DNC_NUMBER": number(request["agi_arg_1"]),
        "DNC_REASON": reason,
        "DNC_DECISION": DECISION,
        **changed,
        "CDR(dnc_verdict)": value[:5],
        "CDR(dnc_reason)": reason,
        "CDR(dnc_decision)": DECISION,
        "CDR(dnc_number)": number(request["agi_arg_1"]),
    }
    return f'EXEC MSet "{",".join(f"{name}={value}" for name, value in pairs.items())}"'


def saying(text: Callable[[Request], str]) -> Behaviour:
    """Return the behaviour of a gate that writes `text` at once, waits for the reply, and closes."""

    async def behave(request: Request, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(request).encode())
        await reader.readline()

    return behave


def ending_with(text: Callable[[Request], str]) -> Behaviour:
    """Return the behaviour of a gate that dies as soon as it has written `text`."""

    async def behave(request: Request, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(text(request).encode())

    return behave


async def hold(request: Request, reader: StreamReader, writer: StreamWriter) -> None:
    """Never answer."""
    await reader.read()


allow = saying(lambda request: verdict(request) + "\n")
block = saying(lambda request: verdict(request, "BLOCK", "internal-dnc") + "\n")
