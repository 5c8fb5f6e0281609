"""The command line of the site and the record: `dnc-admin`."""

import gc
import sys


def main() -> None:
    """Run one command.

    Garbage collection is off while modules are imported. Importing creates no garbage, but the collector took a fifth
    of the start-up time.
    """
    gc.disable()
    try:
        from admin_web.cli.program import command_line, run  # noqa: PLC0415 - imported with garbage collection off

        app = command_line(sys.argv[1:])
    finally:
        gc.enable()
    run(app)


if __name__ == "__main__":
    main()
