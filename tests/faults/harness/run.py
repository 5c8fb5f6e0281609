"""Run a real stack under load and faults, write down everything, and check it.

`python -m tests.faults.harness` makes one run and prints its summary. With `--check FILE...` it reads the histories of
earlier runs instead, and prints their sum. The exit code is 1 if any promise was broken.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from tests.faults.harness import disks, history, schedule
from tests.faults.harness.conductor import Conductor
from tests.faults.harness.ending import facts
from tests.faults.harness.faults.catalogue import kinds_for
from tests.faults.harness.loading import Load, Rates
from tests.faults.harness.options import command_of, parsed
from tests.faults.harness.pool import LISTED
from tests.faults.harness.review import review
from tests.faults.harness.setting import CONFIGURATIONS, Configuration
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import DEADLINE_MS, LEASE_S, SLACK_MS
from tests.support.programs import fork_servers

SQL_DISK_MB, REDIS_DISK_MB = 3000, 2000


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


def small_disks(stack: FaultStack, say: Callable[[str], None]) -> dict[str, disks.Disk]:
    """Return the file systems of SQL and of each Redis server; none where the machine does not let us mount any."""
    try:
        disks.own_mounts()
        servers = enumerate(stack.redises.servers)
        return {
            "sql": disks.mount(stack.directory / "sql", SQL_DISK_MB),
            **{f"redis-{at}": disks.mount(server.directory, REDIS_DISK_MB) for at, server in servers},
        }
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
        stack = FaultStack(configuration, directory, asked.patch)
        stack.disks = small_disks(stack, say)
        ending.enter_context(fork_servers())
        ending.enter_context(stack)
        recorder = ending.enter_context(history.Recorder(path))
        recorder.record(
            history.Run(
                configuration.name, asked.seed, revision(), time.monotonic_ns(), time.time_ns() // 1_000_000,
                DEADLINE_MS, SLACK_MS, LEASE_S * 1000, command_of(asked),
            )
        )  # fmt: skip
        token = stack.start()
        say(f"{configuration.name}: everything runs in {directory}")
        list_first(stack, recorder)
        load = Load(stack, token, recorder, Rates(asked.calls, asked.changes, asked.seed))
        load.begin()
        try:
            conductor = Conductor(stack, load.watch, load.record, say)
            steps = schedule.steps(kinds_for(configuration, asked.only, asked.without), asked.faults, asked.seed)
            conductor.play(steps, asked.minutes * 60)
        finally:
            load.finish()
        say(f"{load.watch.calls:,} calls, {load.changes:,} changes")
        recorder.record(*facts(stack, say))
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
    asked = parsed()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _interrupted)
    paths = asked.check
    if not paths:
        path = asked.history or Path(tempfile.gettempdir()) / f"faults-{asked.configuration}-{asked.seed}.jsonl"
        path.unlink(missing_ok=True)
        play(asked, CONFIGURATIONS[asked.configuration], path)
        say(f"history: {path}")
        paths = [path]
    sys.exit(review(paths))
