"""Files that only this program's user may read: the data directory, and the settings in `.env`.

Only the rights of others are taken away. A group may have been given rights on purpose, such as to a file of root that
the program's group may read.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

ENV_FILE = Path(".env")
_OTHERS = stat.S_IRWXO


def keep_new_files_private() -> None:
    """Make each file that this program and its children create readable by its own user only."""
    os.umask(0o077)


def open_to_others(paths: Iterable[Path]) -> list[str]:
    """Take the rights of others away from files and directories that exist.

    Return a sentence for each one where that is impossible, for example because it belongs to another user.
    """
    return [trouble for path in paths if (trouble := _closed(path))]


def _closed(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & _OTHERS:
            return ""
        path.chmod(mode & ~_OTHERS)
        if not stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            return ""
        why = "its file system keeps no rights"
    except FileNotFoundError:
        return ""
    except OSError as error:
        why = error.strerror or str(error)
    where = path.absolute()
    return f"other users can read {where}, and this program cannot change that ({why}); run: chmod o= {where}"
