"""The thread of the disk: in order, and no reason for the process to stay."""

import asyncio
import subprocess
import sys
import threading

import pytest

from agi_gate.spool.disk_thread import DiskThread

HANGS = """
import asyncio, threading
from agi_gate.spool.disk_thread import DiskThread

async def main():
    try:
        async with asyncio.timeout(0.1):
            await thread.run(threading.Event().wait)
    except TimeoutError:
        print("given up")

thread = DiskThread()
asyncio.run(main())
"""


def test_a_disk_that_hangs_does_not_keep_the_process_from_ending():
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "given up\n", "")


async def test_work_is_done_in_order_and_a_fault_reaches_the_one_who_asked():
    thread, done = DiskThread(), list[int]()
    first = thread.submit(lambda: done.append(1))
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    await thread.run(lambda: done.append(2))
    assert (first.done(), done) == (True, [1, 2])


async def test_the_thread_ends_when_nobody_uses_it():
    thread = DiskThread()
    worker = await thread.run(threading.current_thread)
    del thread
    await asyncio.to_thread(worker.join, 30)
    assert not worker.is_alive()
