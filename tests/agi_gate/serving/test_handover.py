"""Calls under way and calls in the queue survive a restart of the one gate."""

import asyncio
import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_gate.canary import header, read_line
from agi_gate.serving.start import QUEUE_S, WATCH_S, refuse_queue
from bench import restart
from bench.restart import Outcome, by_sighup, on_passed_socket
from lab.process import NotInstalled, Process, free_port
from lab.redis import RedisServer
from lab.supervisor import SocketActivated
from tests.conftest import unavailable
from tests.support.asterisk import GateProcess, Pbx, screen
from tests.support.handmade import HandmadeProjection

LISTED, FREE = "+14155550100", "+14155550199"


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server)
    handmade.put_on(LISTED)
    return handmade


@pytest.fixture
def passed() -> Iterator[socket.socket]:
    """A listening socket that a supervisor holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        yield listener


def environment(directory: Path, url: str, **more: str) -> dict[str, str]:
    metrics = f"127.0.0.1:{free_port()}"
    return {"DNC_REDIS_URL": url, "DNC_DATA_DIR": str(directory), "DNC_METRICS_BIND": metrics,
            "DNC_DEADLINE_MS": "1000", **more}  # fmt: skip


def serve(*words: str) -> list[str]:
    return [sys.executable, "-m", "agi_gate", "serve", *words]


def said(log: Path, event: str) -> list[dict]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


class TestSocketActivation:
    @pytest.mark.parametrize("processes", ["1", "2"])
    def test_calls_that_wait_in_the_queue_get_their_answer(
        self, handmade: HandmadeProjection, redis_server: RedisServer, passed: socket.socket, tmp_path: Path, processes
    ):
        port = passed.getsockname()[1]
        waiting = [Pbx(port) for _ in range(50)]
        for at, pbx in enumerate(waiting):
            pbx.send(header(FREE, "", f"pbx-1.{at}"))
        settings = environment(tmp_path, redis_server.url)
        with SocketActivated(passed, serve("--processes", processes), tmp_path / "gate.log", settings) as gate:
            for at, pbx in enumerate(waiting):
                assert read_line(pbx.line())["DNC_VERDICT"] == f"ALLOW-pbx-1.{at}"
                pbx.socket.close()
            assert screen(port, LISTED).reason == "internal-dnc"
            assert gate.stop() == 0
        # The socket is still open, so the next call waits for the next gate.
        with Pbx(port) as pbx:
            pbx.send(header(FREE, "", "pbx-2.1"))

    def test_the_real_systemd_socket_activate_starts_it(
        self, handmade: HandmadeProjection, redis_server: RedisServer, tmp_path: Path
    ):
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            unavailable(NotInstalled("No systemd-socket-activate: install the package systemd."))
        port = free_port()
        settings = environment(tmp_path, redis_server.url)
        # It passes only the variables that it is told to.
        more = [f"--setenv={name}={value}" for name, value in settings.items()]
        words = [activate, f"--listen=127.0.0.1:{port}", "--fdname=agi", *more, *serve()]
        with Process(words, tmp_path / "gate.log") as gate:
            gate.wait_until(lambda: "Listening on" in gate.log.read_text())
            assert screen(port, FREE).allowed
            assert screen(port, LISTED).reason == "internal-dnc"
            (line,) = said(gate.log, "gate serves")
            assert line["agi"] == f"127.0.0.1:{port}", "the address is that of the socket, not that of the settings"
            assert gate.stop() == 0

    def test_a_socket_that_other_machines_reach_needs_the_addresses_of_the_pbxs(
        self, redis_server: RedisServer, tmp_path: Path
    ):
        settings = environment(tmp_path, redis_server.url, DNC_AGI_BIND="127.0.0.1:4573")
        with socket.create_server(("0.0.0.0", 0)) as listener:
            gate = SocketActivated(listener, serve(), tmp_path / "gate.log", settings)
            assert gate.wait(60) == 2
        assert "DNC_AGI_PEERS: other machines can reach 0.0.0.0:" in gate.log.read_text()

    def test_while_redis_is_away_calls_in_the_queue_are_sent_to_the_next_gate(
        self, passed: socket.socket, short_path: Path
    ):
        server, port = RedisServer(short_path / "redis"), passed.getsockname()[1]
        settings = environment(short_path, server.url)
        with SocketActivated(passed, serve(), short_path / "gate.log", settings) as gate:
            with Pbx(port) as pbx:
                assert pbx.read() == b"", "the connection is closed, so the dialplan asks the next gate"
            with server:
                HandmadeProjection(server)
                gate.wait_until(lambda: bool(said(gate.log, "gate serves")))
                assert screen(port, FREE).allowed
            assert len(said(gate.log, "connections are closed until a process serves")) == 1


async def test_the_queue_is_left_alone_for_a_moment_and_while_a_process_serves():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        served = threading.Event()
        served.set()
        refusing = asyncio.create_task(refuse_queue(listener, served.is_set))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended := asyncio.ensure_future(reader.read())), 2 * QUEUE_S)
        served.clear()
        cleared = time.monotonic()
        async with asyncio.timeout(20):
            assert await ended == b""
        assert time.monotonic() - cleared > QUEUE_S / 2
        writer.close()
        refusing.cancel()


async def test_a_parent_that_stood_still_closes_no_connection_before_its_processes_can_report():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        served = threading.Event()
        refusing = asyncio.create_task(refuse_queue(listener, served.is_set))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        time.sleep(2 * QUEUE_S)  # noqa: ASYNC251 - the whole process stands still
        await asyncio.sleep(2 * WATCH_S)
        served.set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 2 * WATCH_S)
        writer.close()
        refusing.cancel()


class TestSighup:
    def test_each_process_is_replaced_and_calls_go_on(
        self, handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path
    ):
        patient = {"DNC_DEADLINE_MS": "1000", "DNC_PEER_MS": "30000"}
        with GateProcess(short_path / "gate", redis_server.url, 2, **patient) as gate:
            before = restart.children(gate.process.pid)
            with Pbx(gate.port) as pbx:
                pbx.send(header(FREE, "", "pbx-1.1")[:-1])
                gate.process.wait_until(lambda: gate.metric("dnc_gate_open_conversations") == 1)
                gate.process.signal(signal.SIGHUP)
                gate.process.wait_until(lambda: len(restart.children(gate.process.pid) - before) == 1, within_s=60)
                pbx.send(b"\n")
                assert read_line(pbx.line())["DNC_VERDICT"] == "ALLOW-pbx-1.1", "a call under way is finished"
                pbx.send(b"200 result=0\n")
            gate.process.wait_until(lambda: bool(said(gate.process.log, "gate processes replaced")), within_s=60)
            gate.process.wait_until(lambda: not before & restart.children(gate.process.pid))
            assert len(restart.children(gate.process.pid)) == 2
            assert gate.screen(LISTED).reason == "internal-dnc"
            # The parent may still read the last report of the process that has ended.
            gate.process.wait_until(
                lambda: gate.metric('dnc_gate_calls_total{reason="not-listed",verdict="ALLOW"}') == 1
            )

    def test_a_successor_that_cannot_serve_does_not_replace_anything(
        self, handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(short_path)  # The children read `.env` in the working directory.
        with GateProcess(short_path / "gate", redis_server.url, 2, DNC_DEADLINE_MS="1000") as gate:
            before = restart.children(gate.process.pid)
            (short_path / ".env").write_text("DNC_PEER_MS=never\n")
            gate.process.signal(signal.SIGHUP)
            gate.process.wait_until(lambda: bool(said(gate.process.log, "gate processes replaced")), within_s=60)
            assert said(gate.process.log, "gate processes replaced")[0]["kept"] == 2
            assert restart.children(gate.process.pid) == before
            assert gate.screen(FREE).allowed


@pytest.mark.parametrize("way", [on_passed_socket, by_sighup])
@pytest.mark.exhaustive
def test_no_call_is_blocked_for_a_restart(
    handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path, way
):
    handmade.redis.persist("dnc:lease")
    with way(short_path / "g", redis_server.url) as (port, again):
        # On a machine that other tests use too, a program may take seconds to start. No call may be lost meanwhile.
        load = restart.Load(callers=20, restarts=2, every_s=0.3, patience_s=60)
        outcome: Outcome = asyncio.run(restart.under_load(port, load, again))
    assert outcome.blocked == 0, outcome
    assert outcome.calls["not-listed"] > 100
