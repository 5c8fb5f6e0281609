"""Check the histories of runs, and print what was found: the violations of each, and one summary of all."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults.harness.checker import check_history, collector_paused, report
from tests.faults.harness.checking.collected import collect
from tests.faults.harness.history import read
from tests.faults.harness.summary import Summary, markdown, summarize, total


def review(histories: Iterable[Path], say: Callable[[str], None] = print) -> int:
    """Check each history. Return an exit code: 0 if there are runs and none has a violation, else 1."""
    summaries = [_reviewed(path, say) for path in histories]
    for line in markdown(summaries):
        say(line)
    return 0 if summaries and not total(summaries).violations else 1


def _reviewed(path: Path, say: Callable[[str], None]) -> Summary:
    """Check one history, print its violations, and return its figures. The history itself is then forgotten."""
    with collector_paused():
        history = collect(read(path))
        violations = check_history(history)
        for line in report(violations):
            say(f"{path.name}: {line}")
        return summarize(history, violations)
