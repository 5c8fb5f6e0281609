"""What Redis refuses is quoted from its first word on, over a connection to a fake Redis on a real socket."""

import asyncio
from pathlib import Path

import pytest

from admin_web.projection.store import Store
from admin_web.projection.wire import RedisRefused
from tests.support.scripted_redis import FakeRedis, as_redis


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("MOVED 5397 10.0.0.9:7001", "MOVED 5397: another shard of the cluster owns the slot now"),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down"),
        ("LOADING Redis is loading the dataset in memory", "LOADING Redis is loading the dataset in memory"),
        ("READONLY You can't write against a read only replica.", "READONLY You can't write against a read only"),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS Not enough good replicas to write."),
    ],
)
@pytest.mark.parametrize("how", ["alone", "in a transaction"])
async def test_a_refusal_is_quoted_from_its_first_word_on(short_path: Path, said: str, shown: str, how: str):
    def say(command: list[bytes]) -> bytes:
        return f"-{said}\r\n".encode() if command[0] in {b"GET", b"EXEC"} else as_redis(command)

    server = await asyncio.start_unix_server(FakeRedis(say).serve, short_path / "redis.sock")
    async with Store(f"unix://{short_path}/redis.sock") as store:
        with pytest.raises(RedisRefused, match=f"^Redis refused: {shown}"):
            async with store.wire() as wire:
                await (wire.ask(("GET", "x")) if how == "alone" else wire.transact([("SET", "x", "1")]))
    server.close()
