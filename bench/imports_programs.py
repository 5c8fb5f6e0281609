"""The programs that `bench.imports` measures, and their memory."""

import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("dnc-admin")


def peak_mb(pid: int) -> float:
    """Return the peak of the resident memory of a process, in MB; 0 for one that has ended."""
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(field.split()[1]) / 1000 for field in fields if field.startswith("VmHWM")), 0.0)
