"""The programs that `bench.imports` measures, and their memory."""

import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("dnc-admin")


def peak_mb(pid: int) -> float:
    """Return the peak of the resident memory of a process, in MB; 0 for one that has ended."""
    return _memory_mb(pid, "VmHWM")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MB; 0 for one that has ended."""
    return _memory_mb(pid, "VmRSS")


def _memory_mb(pid: int, name: str) -> float:
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(field.split()[1]) / 1000 for field in fields if field.startswith(name)), 0.0)
