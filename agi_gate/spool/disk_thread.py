"""The thread that waits for the disk. A disk that hangs keeps neither the event loop nor the end of the process.

The threads of a `ThreadPoolExecutor` would keep the end: Python joins them when the process exits (cpython,
`concurrent.futures.thread._python_exit`).
"""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class DiskThread:
    """One daemon thread that runs functions in the order in which they come. It ends when this object is gone."""

    def __init__(self) -> None:
        self._jobs = SimpleQueue[Callable[[], None] | None]()
        threading.Thread(target=_run, args=(self._jobs,), name="spool", daemon=True).start()
        weakref.finalize(self, self._jobs.put, None).atexit = False

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Run `work` after all that came before. Return its result as a future of `concurrent.futures`."""
        future = Future[Result]()
        self._jobs.put(lambda: _settle(future, work))
        return future

    def run(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Do as `submit`. Return the result as a future of the running event loop."""
        return asyncio.wrap_future(self.submit(work))


def _run(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while job := jobs.get():
        job()
        del job  # Otherwise it would keep its objects alive until the next job comes.


def _settle(future: Future[Result], work: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
