"""One of several gate processes: it serves on the socket that its parent passes to it, and reports its counts.

A child writes its counts to its standard output, one JSON object per line. If this pipe breaks, the parent is dead. The
child then drains and ends. If the pipe is full, the parent stands still, and the child goes on without it.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress

from agi_gate.metrics import Snapshot
from agi_gate.serving.server import Server, gate_name, stop_signal
from agi_gate.settings import GateSettings

REPORT_EVERY_S = 0.25
"""Seconds between two reports."""

REPORT_START_S = 0.02
"""The same until the child accepts calls, so that the parent knows it at once."""


async def serve_as_child(settings: GateSettings, listener_fd: int) -> None:
    """Serve on an inherited socket and report to the parent, until a stop signal or the parent's death."""
    server, stop = Server(settings, gate_name()), stop_signal()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # It is for the parent, but a terminal sends it to the whole group.
    pipe = sys.stdout.fileno()
    os.set_blocking(pipe, False)
    async with server.serving(socket.socket(fileno=listener_fd)):
        while not stop.is_set():
            try:
                report(server.snapshot(), pipe)
                async with asyncio.timeout(REPORT_EVERY_S if server.accepting else REPORT_START_S):
                    await stop.wait()
            except TimeoutError:
                continue
            except BrokenPipeError:
                return


def report(snapshot: Snapshot, pipe: int) -> None:
    """Write one report to the non-blocking descriptor `pipe`, unless it is full. Raises BrokenPipeError."""
    # If the parent stands still, it stops reading. A child that waited for it would answer no call.
    with suppress(BlockingIOError):
        os.write(pipe, json.dumps(snapshot).encode() + b"\n")
