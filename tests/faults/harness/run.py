"""A run of the harness: build the stack, load it, disturb it, let it rest, and write down all of it."""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

import uvloop

from tests.faults.harness import disks, history, schedule
from tests.faults.harness.back import Watch
from tests.faults.harness.changers import Changers
from tests.faults.harness.conductor import Conductor
from tests.faults.harness.faults.catalogue import kinds_for
from tests.faults.harness.load import Callers
from tests.faults.harness.pool import LISTED
from tests.faults.harness.setting import CONFIGURATIONS, Configuration
from tests.faults.harness.stack import GATES, FaultStack
from tests.faults.harness.stated import DEADLINE_MS, SLACK_MS
from tests.faults.harness.ways import Api
from tests.support.programs import fork_servers

DISK_MB = {"redis": 2000, "sql": 3000}
CALLS_PER_S = 450.0
CHANGES_PER_S = 5.0
REST_WITHIN_S = 60.0


class Load(threading.Thread):
    """The callers and changers, in an event loop of a thread of their own. `record` takes events from any thread."""

    def __init__(self, stack: FaultStack, token: str, recorder: history.Recorder, asked: argparse.Namespace) -> None:
        super().__init__(name="load")
        self._stack, self._token, self._recorder, self._asked = stack, token, recorder, asked
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
        callers = Callers(ports, self._asked.calls, self._asked.seed, self._called)
        changers = Changers(api, self._commands, self._asked.changes, self._asked.seed, self._changed)
        self._begun.set()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(callers.run(self._over))
                both.create_task(changers.run(self._over))
        finally:
            await api.close()

    def _called(self, call: history.Call) -> None:
        self._recorder.record(call)
        self.watch.see(call)

    def _changed(self, change: history.Change) -> None:
        self._recorder.record(change)
        self.changes += 1

    def record(self, event: history.Event) -> None:
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


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def revision() -> str:
    """Return the revision of the working tree."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


def small_disks(directory: Path, say: Callable[[str], None]) -> dict[str, disks.Disk]:
    """Return the file systems of Redis and SQL, each of its own; none where the machine does not let us mount any."""
    try:
        disks.own_mounts()
        return {name: disks.mount(directory / name, megabytes) for name, megabytes in DISK_MB.items()}
    except (disks.NoOwnMounts, OSError) as error:
        say(f"no full disks in this run: this machine allows no mounts of its own ({error})")
        return {}


def play(asked: argparse.Namespace, configuration: Configuration, path: Path) -> None:
    """Carry out one run, and write its history."""
    with ExitStack() as ending:
        directory = asked.directory or Path(
            ending.enter_context(tempfile.TemporaryDirectory(prefix="dnc-h-", ignore_cleanup_errors=True))
        )
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)  # PostgreSQL runs as another user, if root starts it.
        mounted = small_disks(directory, say)
        ending.enter_context(fork_servers())
        stack = ending.enter_context(FaultStack(configuration, directory, mounted))
        recorder = ending.enter_context(history.Recorder(path))
        began = history.Run(
            configuration.name, asked.seed, revision(), time.monotonic_ns(), time.time_ns() // 1_000_000,
            DEADLINE_MS, SLACK_MS,
        )  # fmt: skip
        recorder.record(began)
        token = stack.start()
        say(f"{configuration.name}: everything runs in {directory}")
        list_first(stack, recorder)
        load = Load(stack, token, recorder, asked)
        load.begin()
        try:
            conductor = Conductor(stack, load.watch, load.record, say)
            steps = schedule.steps(kinds_for(configuration, asked.only), asked.faults, asked.seed)
            conductor.play(steps, asked.minutes * 60)
        finally:
            load.finish()
        say(f"{load.watch.calls:,} calls, {load.changes:,} changes")
        for program in stack.programs.values():
            for ended in program.ended:
                say(f"{ended.name} ended by itself with code {ended.code}: {ended.said}")


def list_first(stack: FaultStack, recorder: history.Recorder) -> None:
    """List the numbers that are listed throughout the run, and record that."""
    invoked = time.monotonic_ns()
    file = stack.directory / "listed.csv"
    file.write_text("number\n" + "\n".join(LISTED) + "\n")
    answered = stack.commands().run("import", "internal", str(file))
    recorder.record(
        history.Change(
            "import", "command", LISTED, "", invoked, time.monotonic_ns(), answered.command_outcome, answered.code,
            answered.said,
        )
    )  # fmt: skip


def _interrupted(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument("--configuration", choices=sorted(CONFIGURATIONS), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--calls", type=float, default=CALLS_PER_S, help="calls a second")
    parser.add_argument("--changes", type=float, default=CHANGES_PER_S, help="changes a second")
    parser.add_argument("--history", type=Path, help="where to write the history")
    parser.add_argument("--only", default="", help="kinds of faults, separated by commas; by default all that fit")
    parser.add_argument("--directory", type=Path, help="where the programs keep their files and logs; kept if given")
    asked = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _interrupted)
    path = asked.history or Path(tempfile.gettempdir()) / f"faults-{asked.configuration}-{asked.seed}.jsonl"
    path.unlink(missing_ok=True)
    play(asked, CONFIGURATIONS[asked.configuration], path)
    say(f"history: {path}")
