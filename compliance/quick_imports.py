"""Import the modules of a program quickly."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import modules without garbage collection, and structlog without rich.

    Importing creates no garbage, but the collector took a fifth of the start-up time. structlog imports rich for a
    console that no program of ours has (structlog/dev.py), which took 50 ms; without rich it does not offer it.
    """
    gc.disable()
    try:
        _import_structlog()
        yield
    finally:
        gc.enable()


def _import_structlog() -> None:
    if "rich" in sys.modules:
        return
    # With None in this place, `import rich` fails (Python documentation, "The import system").
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]
