"""A fake manager interface (AMI) with chosen answers, for cases that a real Asterisk shows too rarely or too slowly."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from typing import Self

Action = dict[str, str]
BANNER = b"Asterisk Call Manager/9.0.0\r\n"
Answer = Callable[[Action, StreamWriter], Awaitable[None]]


def reply(action: Action, *lines: str) -> bytes:
    """Return one message that answers an action."""
    return "\r\n".join((*lines, f"ActionID: {action['ActionID']}", "", "")).encode()


async def agree(action: Action, writer: StreamWriter) -> None:
    """Answer an action with success."""
    writer.write(reply(action, "Response: Success", "Message: Yes"))


class FakeAmi:
    """Answers a login with `login`, all else with `answer`. `heard` has the actions; `visits` counts connections."""

    def __init__(self, answer: Answer = agree, login: Answer = agree, banner: bytes = BANNER) -> None:
        self.answer, self.login, self.banner = answer, login, banner
        self.heard: list[Action] = []
        self.raw = b""
        self.visits = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[StreamWriter] = set()
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        return self

    def _begin(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.visits += 1
        self._writers.add(writer)
        writer.write(self.banner)
        try:
            while True:
                said = await reader.readuntil(b"\r\n\r\n")
                self.raw += said
                action = dict(line.split(": ", 1) for line in said.decode().strip().split("\r\n"))
                self.heard.append(action)
                await (self.login if action["Action"] == "Login" else self.answer)(action, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def until_heard(self, verb: str) -> None:
        """Wait until an action of this name has arrived."""
        async with asyncio.timeout(20):
            while verb not in {action["Action"] for action in self.heard}:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
