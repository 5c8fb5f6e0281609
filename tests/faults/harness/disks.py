"""Small file systems in memory, so that a disk can be full: private to this process and those that it starts."""

import ctypes
import os
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class NoOwnMounts(Exception):
    """This machine lets the process have no mounts of its own. The message says why."""


def own_mounts() -> None:
    """Give this process mounts of its own, which end with it. It must have a single thread. Raises NoOwnMounts."""
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNS if user == 0 else CLONE_NEWNS | CLONE_NEWUSER
    _call("unshare", _libc.unshare(flags))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _call("mount", _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))


def mount(directory: Path, megabytes: int) -> "Disk":
    """Mount a file system of this size. Raises NoOwnMounts."""
    directory.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=755".encode()
    _call("mount", _libc.mount(b"none", os.fsencode(directory), b"tmpfs", 0, options))
    return Disk(directory)


def _call(what: str, result: int) -> None:
    if result != 0:
        raise NoOwnMounts(f"{what}: {os.strerror(ctypes.get_errno())}")


class Disk:
    """A file system that can be filled up."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._filler = directory, directory / "filler"

    def fill(self) -> None:
        """Leave no free block."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Free the space again."""
        self._filler.unlink(missing_ok=True)
