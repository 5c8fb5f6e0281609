"""Repetition of the worker's loops, each in a task of its own, until the worker stops."""

import asyncio
from collections.abc import Mapping

import structlog

from admin_web.documents import DocumentsUnavailable
from admin_web.pbx.ami import PbxTrouble
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.record.changes import NotInForce
from admin_web.record.database import DatabaseUnavailable
from admin_web.worker.call_details.places import CdrFileUnreadable
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.steps import Step

STOP_S = 1.0
"""Seconds that running steps get to finish when the worker stops. They may be cancelled or killed without harm."""

AWAY = (NotInForce, NotRebuilt, DatabaseUnavailable, DocumentsUnavailable, PbxTrouble, CdrFileUnreadable)
"""Exceptions of expected outages. Any other exception is a bug, and is logged with its traceback."""

log = structlog.get_logger()


class Repeater:
    """Repeats the steps of loops, and keeps the state of each loop in `loops`."""

    def __init__(self, loops: LoopStates) -> None:
        self._loops = loops
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End every loop after its current step."""
        self._stop.set()

    def start(self, steps: Mapping[str, Step]) -> None:
        """Start the loops that do not run yet."""
        for name in steps.keys() - self._tasks.keys():
            self._tasks[name] = asyncio.create_task(self._repeat(name, steps[name]))

    def cancel(self, name: str) -> None:
        """Cancel a loop that is no longer needed, and forget its state."""
        self._tasks.pop(name).cancel()
        self._loops.forget(name)

    async def run(self) -> None:
        """Wait for `stop`. Steps that then take longer than `STOP_S` are cancelled."""
        await self._stop.wait()
        _, late = await asyncio.wait(self._tasks.values(), timeout=STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def pause(self, seconds: float) -> None:
        """Wait for some seconds, or until `stop` is called."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _repeat(self, name: str, step: Step) -> None:
        """Repeat a step until the worker stops, with the pause that each step returns."""
        state = self._loops.of(name)
        while not self.stopped:
            try:
                wait_s = await step()
                state.succeed()
            except AWAY as error:
                wait_s = state.fail(error)
            except Exception as error:  # A bug in one loop must not end the others, which renew the lease.
                log.exception("failed", loop=name)
                wait_s = state.fail(error)
            await self.pause(wait_s)
