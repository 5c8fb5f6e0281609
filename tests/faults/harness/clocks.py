"""A wall clock that can be set while its program runs (`clock.c`). Its monotonic clock goes on as it is."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def library(directory: Path) -> Path | None:
    """Compile the library that a program is started with, and return it; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = directory / "clock.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True)
    return made


class Clock:
    """The clock of one program, whose offset in nanoseconds stands in `file`."""

    def __init__(self, library: Path, file: Path) -> None:
        self._library, self._file = library, file
        file.write_bytes(bytes(8))

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of the program needs."""
        return {"LD_PRELOAD": str(self._library), "HARNESS_CLOCK": str(self._file)}

    def step(self, seconds: float) -> None:
        """Set the clock `seconds` beside the true one, at once."""
        with self._file.open("r+b", buffering=0) as file:  # The program has mapped these very bytes.
            file.write(int(seconds * 1_000_000_000).to_bytes(8, "little", signed=True))
