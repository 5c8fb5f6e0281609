"""The load of a run, in an event loop of a thread of its own. The main thread makes the faults meanwhile."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass

import uvloop

from tests.faults.harness.back import Watch
from tests.faults.harness.changers import Changers
from tests.faults.harness.history import Call, Change, Event, Recorder
from tests.faults.harness.load import Callers
from tests.faults.harness.stack import GATES, FaultStack
from tests.faults.harness.stalls import watch_stalls
from tests.faults.harness.ways import Api


@dataclass(frozen=True, slots=True)
class Rates:
    """How much is asked in a second, and the seed that draws it."""

    calls: float
    changes: float
    seed: int


class Load(threading.Thread):
    """The callers and changers, in an event loop of a thread of their own. `record` takes events from any thread."""

    def __init__(self, stack: FaultStack, token: str, recorder: Recorder, rates: Rates) -> None:
        super().__init__(name="load")
        self._stack, self._token, self._recorder, self._rates = stack, token, recorder, rates
        self._commands = stack.commands()
        self._loop = uvloop.new_event_loop()
        self._over: asyncio.Event | None = None
        self._begun = threading.Event()
        self.watch = Watch(GATES)
        self.changes = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Place calls and make changes until `finish`."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except BaseException as error:  # noqa: BLE001 - `finish` raises it in the thread that can report it
            self.failure = error
            self._begun.set()

    async def _work(self) -> None:
        self._over = asyncio.Event()
        api = Api(self._stack.origin, self._token)
        ports = {name: self._stack.ports[name] for name in GATES}
        callers = Callers(ports, self._rates.calls, self._rates.seed, self._called)
        changers = Changers(api, self._commands, self._rates.changes, self._rates.seed, self._changed)
        self._begun.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(callers.run(self._over))
                tasks.create_task(changers.run(self._over))
                tasks.create_task(watch_stalls(self._over, self._recorder.record))
        finally:
            await api.close()

    def _called(self, call: Call) -> None:
        self._recorder.record(call)
        self.watch.see(call)

    def _changed(self, change: Change) -> None:
        self._recorder.record(change)
        self.changes += 1

    def record(self, event: Event) -> None:
        """Record an event of another thread, in the thread of the recorder while it runs."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._recorder.record, event)
        else:
            self._recorder.record(event)

    def begin(self) -> None:
        """Start, and wait until calls are placed."""
        self.start()
        self._begun.wait()

    def finish(self) -> None:
        """Place no more calls, and wait for the answers of those under way. Raises what the thread raised."""
        if self.is_alive() and self._over is not None:
            with suppress(RuntimeError):  # The loop has ended by itself.
                self._loop.call_soon_threadsafe(self._over.set)
        self.join()
        if self.failure is not None:
            raise self.failure
