"""Break the product in one place at a time, and check that the tests notice it.

`python scripts/mutations.py [--revision REV] [--only NAME]... [--list]`

`mutations.toml` lists the mutations. The script applies them to an exported copy of the revision, so the working tree
and the installed product do not change. It finds a mutation by its text, in any module, and a test by the name of its
function. So the same list works for revisions whose modules have moved.

First, all named tests must pass on the unchanged copy. Then each mutation runs its own tests alone. The outcomes are

    caught           a test failed, as it should
    SURVIVED         every test passed, so no test notices this fault
    BROKEN           the tests did not run at all, so the mutation proves nothing
    not applicable   the text, or each of the tests, is not in this revision

Exits with code 1 if a mutation survived or is broken. Most tests run on SQLite and on PostgreSQL, and here on SQLite
only. A mutation with `postgres = true` is a fault that only PostgreSQL shows, so its tests run there.
"""

import argparse
import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")
PACKAGES = ("agi_gate", "admin_web", "compliance")

TEST_S = 60
"""Maximum duration of one test in seconds. It is needed because a mutation can make a test wait for ever."""

BASELINE_S = 900
ROOMY = 4_000_000_000

CAUGHT, SURVIVED, BROKEN, NOT_APPLICABLE = "caught", "SURVIVED", "BROKEN", "not applicable"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault: texts of the product with their replacements (`swaps`), and the tests that should fail.

    The first swap whose text is found is applied. The others are for revisions that write the same thing differently.
    `within` is a part of the file's path, for a text that occurs in several files. A test is `FILE::FUNCTION`.
    """

    name: str
    swaps: Sequence[tuple[str, str]]
    tests: Sequence[str]
    within: str
    postgres: bool = False

    @property
    def marker(self) -> str:
        """Which of its tests run, as an expression for pytest."""
        return "postgres" if self.postgres else "not postgres"

    def place(self, tree: Path) -> tuple[Path, str] | None:
        """Return the file of the first swap that fits, and its mutated text; None if none fits. Raises Ambiguous."""
        for was, becomes in self.swaps:
            found = [path for path, text in _sources(tree).items() if was in text and self._may_be_in(path, tree)]
            if not found:
                continue
            text = _sources(tree)[found[0]]
            if len(found) > 1 or text.count(was) > 1:
                raise Ambiguous(f"{self.name}: {was!r} occurs in several places: {', '.join(map(str, found))}")
            return found[0], text.replace(was, becomes)
        return None

    def _may_be_in(self, path: Path, tree: Path) -> bool:
        return self.within in str(path.relative_to(tree))


class Ambiguous(Exception):
    """A mutation or a test fits several places. The message lists them."""


def read_list() -> list[Mutation]:
    """Read `mutations.toml`: one table for each mutation. `was` and `becomes` are texts, or lists of equal length."""
    return [
        Mutation(
            name,
            list(zip(_several(given["was"]), _several(given["becomes"]), strict=True)),
            _several(given["tests"]),
            given.get("in", ""),
            given.get("postgres", False),
        )
        for name, given in tomllib.loads(LIST.read_text(encoding="utf-8")).items()
    ]


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@cache
def _sources(tree: Path) -> Mapping[Path, str]:
    """Return the product's modules and templates, unchanged. They are read once: each mutation looks for its text."""
    paths = [path for package in PACKAGES for path in sorted((tree / package).rglob("*"))]
    return {path: path.read_text(encoding="utf-8") for path in paths if path.suffix in {".py", ".html"}}


def export(revision: str, tree: Path) -> str:
    """Write the files of a revision to `tree`; return its short commit id."""
    git = ["git", "-C", str(ROOT)]
    name = [*git, "rev-parse", "--verify", "--short=12", f"{revision}^{{commit}}"]
    commit = subprocess.run(name, check=True, capture_output=True, text=True).stdout.strip()
    archive = subprocess.run([*git, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    return commit


def node_ids(tree: Path) -> Mapping[str, list[str]]:
    """Return the pytest node ids of all tests of a tree, by the name of the test function."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((tree / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            members, prefix = (node.body, f"{node.name}::") if isinstance(node, ast.ClassDef) else ([node], "")
            for member in members:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and member.name.startswith("test_"):
                    found[member.name].append(f"{path.relative_to(tree)}::{prefix}{member.name}")
    return found


def nodes_of(tests: Iterable[str], known: Mapping[str, list[str]]) -> list[str]:
    """Return the node ids of tests. The file is compared only if several functions share a name. Raises Ambiguous."""
    nodes = []
    for test in tests:
        file, _, function = test.partition("::")
        there = known.get(function, [])
        if len(there) > 1:
            there = [node for node in there if Path(node.partition("::")[0]).name == file]
        if len(there) > 1:
            raise Ambiguous(f"{test} is {' and '.join(there)}")
        nodes += there
    return nodes


class Copy:
    """An exported revision in which tests are run."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "CI": "1",  # With CI set, a test whose engine is missing fails instead of being skipped.
            "TMPDIR": os.environ.get("TMPDIR") or _scratch(),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        self._environment.pop("PYTEST_ADDOPTS", None)

    def origins(self) -> list[str]:
        """Return the paths that the packages are imported from. Raises SystemExit if one is outside the copy."""
        program = f"import {', '.join(PACKAGES)}; print(*[one.__file__ for one in ({', '.join(PACKAGES)})], sep='\\n')"
        said = subprocess.run(
            [sys.executable, "-P", "-c", program],
            cwd=self.tree, env=self._environment, check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        if not all(Path(origin).is_relative_to(self.tree) for origin in said):
            raise SystemExit(f"the product is imported from outside the copy: {', '.join(said)}")
        return said

    def run(self, nodes: Sequence[str], marker: str, within_s: float, *options: str) -> tuple[int, str]:
        """Run tests; return the exit code of pytest (1 if it took too long) and its output."""
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marker),
            *(f"--timeout={TEST_S}", *(("-n", "0") if importlib.util.find_spec("xdist") else ()), *options, *nodes),
        ]
        with subprocess.Popen(
            command, cwd=self.tree, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired as late:
                return 1, f"{late}"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, said


def _scratch() -> str:
    """Return a directory in memory if it has enough space, as in `scripts/test`, else the system's default."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOMY
    return str(memory if roomy else tempfile.gettempdir())


@contextmanager
def mutated(path: Path, text: str) -> Iterator[None]:
    """Replace the text of a file until the block ends."""
    before = path.read_bytes()
    try:
        _write(path, text.encode())
        yield
    finally:
        _write(path, before)


def _write(path: Path, content: bytes) -> None:
    """Write a module and delete its byte code. Python might use the old code: it compares only size and second."""
    path.write_bytes(content)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def judge(copy: Copy, mutation: Mutation, nodes: Sequence[str]) -> tuple[str, str]:
    """Apply one mutation and run its tests. Return the outcome, and the reason if the mutation proves nothing."""
    place = mutation.place(copy.tree)
    if place is None or not nodes:
        return NOT_APPLICABLE, "its text is missing" if place is None else "its tests are missing"
    path, text = place
    with mutated(path, text):
        code, said = copy.run(nodes, mutation.marker, TEST_S * len(nodes) + 60, "-x", "--tb=line")
    if code in {0, 1}:
        return (SURVIVED if code == 0 else CAUGHT), ""
    return BROKEN, said[-2000:]


def check(copy: Copy, mutations: Sequence[Mutation]) -> bool:
    """Run the baseline and every mutation, and print the outcomes. Return whether no mutation survived or is broken."""
    known = node_ids(copy.tree)
    nodes = {mutation.name: nodes_of(mutation.tests, known) for mutation in mutations}
    began = time.monotonic()
    for marker in sorted({mutation.marker for mutation in mutations}):
        every = sorted({node for mutation in mutations if mutation.marker == marker for node in nodes[mutation.name]})
        code, said = copy.run(every, marker, BASELINE_S, "--tb=short") if every else (0, "no tests")
        print(f"unchanged, {marker}: {said.strip().splitlines()[-1]}", flush=True)
        if code != 0:
            raise SystemExit(f"The named tests do not pass on the unchanged copy:\n{said[-6000:]}")
    outcomes = defaultdict(list)
    for mutation in mutations:
        since = time.monotonic()
        outcome, why = judge(copy, mutation, nodes[mutation.name])
        outcomes[outcome].append(mutation.name)
        print(
            f"{outcome:<15}{time.monotonic() - since:>6.1f} s  {mutation.name}{f': {why}' if why else ''}", flush=True
        )
    counts = ", ".join(f"{len(names)} {outcome}" for outcome, names in outcomes.items())
    print(f"\n{len(mutations)} mutations in {time.monotonic() - began:.0f} s: {counts}")
    for outcome in (SURVIVED, BROKEN, NOT_APPLICABLE):
        if names := outcomes[outcome]:
            print(f"{outcome}: {', '.join(names)}")
    return not outcomes[SURVIVED] and not outcomes[BROKEN]


def main() -> None:
    """Run the mutations that the options select, or list them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default="HEAD", help="The git revision to break; default HEAD.")
    parser.add_argument("--only", metavar="NAME", action="append", help="Run only this mutation; may be repeated.")
    parser.add_argument("--list", action="store_true", help="Print the mutations and their tests, and run nothing.")
    asked = parser.parse_args()
    mutations = [one for one in read_list() if not asked.only or one.name in asked.only]
    if unknown := {*(asked.only or ())} - {one.name for one in mutations}:
        parser.error(f"unknown mutation: {', '.join(sorted(unknown))}")
    if asked.list:
        print("\n".join(f"{one.name}: {', '.join(one.tests)}" for one in mutations))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # Exit normally, to remove the copy.
    with tempfile.TemporaryDirectory(prefix="dnc-mutations-") as directory:
        tree = Path(directory) / "copy"
        commit = export(asked.revision, tree)
        copy = Copy(tree)
        print(f"{commit}, imported from\n  " + "\n  ".join(copy.origins()), flush=True)
        sys.exit(0 if check(copy, mutations) else 1)


if __name__ == "__main__":
    main()
