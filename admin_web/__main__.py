"""The command line of the site and the record: `dnc-admin`."""

import gc
import sys


def main() -> None:
    """Run one command. Nothing that an import makes is garbage: looking for some took a fifth of the start."""
    gc.disable()
    try:
        from admin_web.cli.program import command_line, run  # noqa: PLC0415 - see above

        app = command_line(sys.argv[1:])
    finally:
        gc.enable()
    run(app)


if __name__ == "__main__":
    main()
