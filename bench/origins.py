"""Run a program of the product, and record where its modules came from: `origins.py FILE PACKAGE WORDS...`.

When the program ends, FILE holds a JSON object that maps module names to the paths they were loaded from.
"""

import atexit
import json
import runpy
import sys
from pathlib import Path

PRODUCT = ("agi_gate", "admin_web", "compliance")


def write(target: Path) -> None:
    loaded = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] in PRODUCT}
    target.write_text(json.dumps(loaded))


if __name__ == "__main__":
    _, file, package, *words = sys.argv
    atexit.register(write, Path(file))
    sys.argv = [package, *words]
    runpy.run_module(package, run_name="__main__")
