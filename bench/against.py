"""Compare the gate's throughput in the working tree and in another revision: `bench.gate --against REVISION`.

Each round starts both gates anew, each with a Redis of its own, so that no run inherits another's memory layout or
stream. Both use the same hash seed. The gates take turns under the same callers on the same core: A B B A in one round,
B A A B in the next, so that neither gains by coming first. The ratio is computed within a round, because other load on
the machine then slows both gates.

A gate's throughput differs by some 4 % from start to start, whatever the revision. So many short rounds are more
precise than few long ones. The median of 40 rounds is precise to about 1 %.
"""

import json
import os
import statistics
import subprocess
import sys
import tarfile
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from bench.agi import SERVER_CORE, Callers, Load, Outcome, Server, pin
from lab.process import Process, free_port
from lab.redis import RedisServer

ROOT = Path(__file__).resolve().parent.parent
LOAD = Load("closed", 32)
WARM_S = 0.3

Stocked = Callable[[Path], AbstractContextManager[RedisServer]]
"""A function that runs a Redis in a directory, with the projection in it."""


class ForeignCode(Exception):
    """A gate loaded code from outside the tree under test; the message names the files."""


@dataclass(slots=True)
class Tree:
    """A directory with the packages of one revision. `loaded` counts the modules that its gate loaded, by package."""

    name: str
    directory: Path
    loaded: Counter[str]

    @contextmanager
    def gate(self, scratch: Path, redis: RedisServer, listed: int, seed: int) -> Iterator[Server]:
        """Run `agi-gate serve` from this directory. Raises ForeignCode if it loaded code from another directory."""
        scratch.mkdir()
        port, http, origins = free_port(), free_port(), scratch / "origins.json"
        environment = {
            "PYTHONPATH": str(self.directory),
            "PYTHONHASHSEED": str(seed),
            "DNC_REDIS_URL": redis.url,
            "DNC_AGI_BIND": f"127.0.0.1:{port}",
            "DNC_METRICS_BIND": f"127.0.0.1:{http}",
            "DNC_DATA_DIR": str(scratch),
            "DNC_LOG_LEVEL": "WARNING",
        }
        # With -P, PYTHONPATH comes first in sys.path, before an editable install of the product.
        command = [sys.executable, "-P", ROOT / "bench" / "origins.py", origins, "agi_gate", "serve"]
        with Process(command, scratch / "gate.log", environment, scratch) as process:
            process.wait_until(lambda: _ready(http))
            pin(process.pid, SERVER_CORE)
            yield Server(self.name, process, port, listed)
        self._verify(json.loads(origins.read_text()))

    def _verify(self, origins: dict[str, str]) -> None:
        foreign = [origin for origin in origins.values() if not Path(origin).is_relative_to(self.directory)]
        if foreign:
            raise ForeignCode(f"the gate of {self.name} also loaded {', '.join(foreign)}")
        self.loaded = Counter(name.partition(".")[0] for name in origins)


@dataclass(frozen=True, slots=True)
class Round:
    """Results of one round: two runs of the working tree's gate, and two of the other.

    `first` names the gate that ran first.
    """

    first: str
    ours: Sequence[Outcome]
    theirs: Sequence[Outcome]

    @property
    def ratio(self) -> float:
        """Throughput of the working tree as a multiple of the other revision's."""
        return _per_second(self.ours) / _per_second(self.theirs)

    def count(self, figure: str) -> int:
        """Return the sum of one count over all four runs."""
        return sum(getattr(outcome, figure) for outcome in (*self.ours, *self.theirs))


def _per_second(outcomes: Sequence[Outcome]) -> float:
    return statistics.fmean(outcome.per_second for outcome in outcomes)


def compare(revision: str, directory: Path, stocked: Stocked, *, listed: int, rounds: int, seconds: float) -> None:
    """Measure both revisions in turn, each for `seconds` per round, and print the rounds and their ratios.

    Raises SystemExit when a gate gave a wrong answer or none.
    """
    ours, theirs = Tree("working-tree", ROOT, Counter()), export(revision, directory)
    callers = Callers(directory)
    print(f"{'round':>5}  {'first':<14}{'tree, calls/s':>15}{'other, calls/s':>16}{'ratio':>8}{'given up':>10}")
    done = []
    for number in range(1, rounds + 1):
        pair = (ours, theirs) if number % 2 else (theirs, ours)
        with ExitStack() as stack:
            scratch = directory / f"round-{number}"
            servers = [_started(stack, tree, scratch / tree.name, stocked, listed, number) for tree in pair]
            outcomes = _in_turn(servers, callers, seconds)
        done.append(Round(pair[0].name, outcomes[ours.name], outcomes[theirs.name]))
        print(_line(number, done[-1]), flush=True)
    print("", *_summary(ours, theirs, done), sep="\n")
    if any(one.count("wrong") or one.count("unanswered") for one in done):
        raise SystemExit("A gate gave a wrong answer or none.")


def _started(stack: ExitStack, tree: Tree, scratch: Path, stocked: Stocked, listed: int, seed: int) -> Server:
    scratch.mkdir(parents=True)
    return stack.enter_context(tree.gate(scratch / "g", stack.enter_context(stocked(scratch)), listed, seed))


def _in_turn(servers: Sequence[Server], callers: Callers, seconds: float) -> dict[str, list[Outcome]]:
    """Load the gates in this order and then in reverse, `seconds / 2` each time. Return the outcomes by gate name."""
    for server in servers:
        callers.place(server, Load("closed", 4), WARM_S)
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    for server in (*servers, *reversed(servers)):
        outcomes[server.name].append(callers.place(server, LOAD, seconds / 2))
    return outcomes


def _line(number: int, one: Round) -> str:
    return (
        f"{number:>5}  {one.first:<14}{_per_second(one.ours):>15,.0f}{_per_second(one.theirs):>16,.0f}"
        f"{one.ratio:>8.3f}{one.count('given_up'):>10}"
    )


def _summary(ours: Tree, theirs: Tree, done: Sequence[Round]) -> Iterator[str]:
    for tree in (ours, theirs):
        modules = ", ".join(f"{count} modules of {package}" for package, count in sorted(tree.loaded.items()))
        yield f"{tree.name:<14}{modules}, all from {tree.directory}"
    ratios = [one.ratio for one in done]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    yield f"{os.cpu_count()} cores, {LOAD}, {len(ratios)} rounds"
    yield (
        f"working tree / {theirs.name}: median {middle:.3f}, quartiles {low:.3f} to {high:.3f}, "
        f"minimum {min(ratios):.3f}, maximum {max(ratios):.3f}"
    )


def _ready(http: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def export(revision: str, directory: Path) -> Tree:
    """Write the files of a git revision to a directory below `directory`. Raises SystemExit if git does not know it."""
    git = ["git", "-C", str(ROOT)]
    named = subprocess.run(
        [*git, "rev-parse", "--verify", "--quiet", "--short=12", f"{revision}^{{commit}}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    commit = named.stdout.strip()
    if not commit:
        raise SystemExit(f"--against {revision}: git does not know this revision")
    archive = subprocess.run([*git, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(directory / commit, filter="data")
    return Tree(commit, directory / commit, Counter())
