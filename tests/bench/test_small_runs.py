"""Every benchmark can be imported, and several run to their end on small data. Speed is not tested here."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lab.process import NotInstalled
from lab.redis import redis_binary
from tests.conftest import unavailable

BENCH = Path(__file__).parents[2] / "bench"


def printed(*words: str) -> str:
    """Run a command of `bench/` to its end and return its output."""
    command = [sys.executable, "-m", f"bench.{words[0]}", *words[1:]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gate", "--rounds=1", "--seconds=0.2"), "p50 at 1,000 a second, gate / floor"),
        (("gate", "--against=HEAD", "--rounds=2", "--seconds=0.2"), "2 rounds"),
        (("scrub", "--leads=2000", "--numbers=200000", "--own=100"), "2,000 leads in"),
        (("alternatives", "--rounds=1", "--seconds=0.1"), "gate / sleeping"),
        (("metrics", "--calls=1000", "--rounds=1"), "multiprocess mode"),
        (("restore", "--numbers=2500", "--rounds=1"), "       1   "),
        (("imports", "--rows=3000", "--only=sqlite"), "| 3,000 rows |"),
        (("fuzz", "--count=4000", "--seed=3"), "no violation"),
        (("start", "--times=1"), "CPU until then"),
    ],
    ids=["gate", "against", "scrub", "alternatives", "metrics", "restore", "imports", "fuzz", "start"],
)
def test_a_bench_runs_small_and_prints_what_it_found(words, said):
    try:
        redis_binary()
    except NotInstalled as error:
        unavailable(error)
    assert said in printed(*words)


@pytest.mark.parametrize("bench", sorted(file.stem for file in BENCH.glob("[a-z]*.py")))
def test_every_bench_finds_what_it_imports(bench: str):
    import_module(f"bench.{bench}")
