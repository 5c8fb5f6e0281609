"""Small file systems in memory, so that a disk can be full: private to this process and those that it starts."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REMOUNT, MS_REC, MS_PRIVATE = 0x20, 0x4000, 1 << 18
MEGABYTE = 1 << 20
TRIES = 1000

_libc = ctypes.CDLL(None, use_errno=True)


class NoOwnMounts(Exception):
    """This machine lets the process have no mounts of its own. The message says why."""


def own_mounts() -> None:
    """Move this process into a mount namespace of its own, which ends with it. Raises NoOwnMounts.

    The process must have a single thread.
    """
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
    _mount(directory, b"tmpfs", 0, megabytes * MEGABYTE)
    return Disk(directory, megabytes * MEGABYTE)


def _mount(directory: Path, kind: bytes | None, flags: int, size: int) -> None:
    _call("mount", _libc.mount(b"none", os.fsencode(directory), kind, flags, f"size={size},mode=755".encode()))


def _call(what: str, result: int) -> None:
    if result != 0:
        raise NoOwnMounts(f"{what}: {os.strerror(ctypes.get_errno())}")


class Disk:
    """A file system in memory that can be full."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory, self._size = directory, size

    def fill(self) -> None:
        """Leave no free block: the file system gets the size of what it holds. Raises NoOwnMounts."""
        for _ in range(TRIES):  # The files may grow in between. A file system cannot be smaller than they are.
            state = os.statvfs(self.directory)
            with suppress(NoOwnMounts):
                _mount(self.directory, None, MS_REMOUNT, (state.f_blocks - state.f_bfree) * state.f_frsize)
                return
        raise NoOwnMounts(f"{self.directory} is written to without a pause")

    def free(self) -> None:
        """Free the space again."""
        _mount(self.directory, None, MS_REMOUNT, self._size)
