"""A small fake Redis on a real socket: it gives the replies that a test chooses, and keeps the commands."""

import asyncio
from collections.abc import Callable

from compliance.facts import State
from compliance.redis_schema import state_values

INFO = b"run_id:run-1\r\nmaxmemory_policy:noeviction\r\nrole:master\r\n"


def told(state: State) -> bytes:
    """Return HMGET's reply for a state, encoded in RESP."""
    fields = [value.encode() for value in state_values(state).values()]
    return b"*%d\r\n" % len(fields) + b"".join(b"$%d\r\n%s\r\n" % (len(field), field) for field in fields)


NOW = State(7, "run-1", ("internal",), 3, "0" * 16)
STATE = told(NOW)
Reply = Callable[[list[bytes]], bytes]


def as_redis(command: list[bytes]) -> bytes:
    match command:
        case [b"INFO", _]:
            return b"$%d\r\n%s\r\n" % (len(INFO), INFO)
        case [b"HMGET", *_]:
            return STATE
        case [b"EXISTS", _]:
            return b":1\r\n"
        case [b"ECHO", word]:
            return b"$%d\r\n%s\r\n" % (len(word), word)
        case _:
            return b"+OK\r\n"


class FakeRedis:
    """Answers commands with `say`, `chunk` bytes at a time. `batches` has the commands of each read."""

    def __init__(self, say: Reply = as_redis, chunk: int = 100_000) -> None:
        self.say, self.chunk, self.batches = say, chunk, list[list[list[bytes]]]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        while data := await reader.read(1_000_000):
            commands, buffer = parsed(buffer + data)
            self.batches.append(commands)
            said = b"".join(map(self.say, commands))
            for at in range(0, len(said), self.chunk):
                writer.write(said[at : at + self.chunk])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()


def parsed(data: bytes) -> tuple[list[list[bytes]], bytes]:
    commands = []
    while data:
        head, _, rest = data.partition(b"\r\n")
        words = []
        for _ in range(int(head[1:])):
            size, _, rest = rest.partition(b"\r\n")
            words.append(rest[: int(size[1:])])
            rest = rest[int(size[1:]) + 2 :]
        commands.append(words)
        data = rest
    return commands, b""
