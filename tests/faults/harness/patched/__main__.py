"""`python -m tests.faults.harness.patched PATCH PROGRAM WORDS…`: run a program of the product, broken by one patch."""

import runpy
import sys

from tests.faults.harness.patched.patches import PATCHES


def main() -> None:
    """Break the product by the named patch, and become the program."""
    patch, program = sys.argv[1:3]
    PATCHES[patch]()
    sys.argv[1:] = sys.argv[3:]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
