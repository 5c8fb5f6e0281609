"""The command line of the gate: `agi-gate`."""

from compliance.quick_imports import quick_imports


def main() -> None:
    """Run one command."""
    with quick_imports():
        from agi_gate.commands import run_commands  # noqa: PLC0415 - imported quickly

    run_commands()


if __name__ == "__main__":
    main()
