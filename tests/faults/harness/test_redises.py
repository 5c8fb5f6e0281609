"""The harness asks a server of Redis once, so that a server that stands still holds up nothing."""

import socket
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from lab.redis import RedisServer
from tests.faults.harness import redises


def test_a_server_that_stands_still_is_asked_once(short_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redises, "ANSWER_WITHIN_S", 0.02)
    server = RedisServer(short_path)
    with socket.socket(socket.AF_UNIX) as silent, redises.client_of(server) as client:
        silent.bind(str(server.socket))
        silent.listen()
        silent.settimeout(0.02)
        with pytest.raises(RedisError):
            client.ping()
        silent.accept()[0].close()
        with pytest.raises(TimeoutError):
            silent.accept()
