"""The command line of the site and the record: `dnc-admin`."""

import sys

from compliance.quick_imports import quick_imports


def main() -> None:
    """Run one command."""
    with quick_imports():
        from admin_web.cli.program import command_line, run  # noqa: PLC0415 - imported quickly

        app = command_line(sys.argv[1:])
    run(app)


if __name__ == "__main__":
    main()
