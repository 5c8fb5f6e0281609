"""Where a usable Asterisk is: the machine's own, or one of Debian's in a directory, fetched once and kept."""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.process import NotInstalled

OLDEST = 20
"""The oldest major version of Asterisk that the dialplan is meant for."""

RELEASE = "forky"
"""Debian's release that carries Asterisk 22; Debian 12 and 13 have none."""

FETCH_S = 900


@dataclass(frozen=True, slots=True)
class AsteriskRoot:
    """An Asterisk: the root of its file system (`/` for the machine's own), and the version it says it is."""

    path: Path
    version: str


def find() -> AsteriskRoot:
    """Give a usable Asterisk, fetching one if need be. Raises NotInstalled, naming what to install."""
    return _own() or _kept() or _fetched()


def cache() -> Path:
    """Where the fetched root file system is kept: `DNC_LAB_CACHE`, else a directory in the home's cache."""
    return Path(os.environ.get("DNC_LAB_CACHE") or Path.home() / ".cache" / "dnc-gate")


def _own() -> AsteriskRoot | None:
    binary = shutil.which("asterisk")
    if binary is None:
        return None
    said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return AsteriskRoot(Path("/"), said.strip()) if _major(said) >= OLDEST else None


def _major(said: str) -> int:
    """Read the major version out of "Asterisk 22.10.1+dfsg…"; 0 when there is none."""
    found = re.match(r"Asterisk (\d+)\.", said)
    return int(found[1]) if found else 0


def _kept() -> AsteriskRoot | None:
    """Give the one fetched earlier. Entering it takes root, because of chroot and mount."""
    kept = cache() / f"asterisk-{RELEASE}"
    if not kept.is_dir():
        return None
    _need_root()
    said = subprocess.run(  # noqa: S603
        ["chroot", kept, "asterisk", "-V"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return AsteriskRoot(kept, said.strip())


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NotInstalled(
            f"No Asterisk: install the package asterisk, version {OLDEST} or newer, or run this as root."
        )


def _fetched() -> AsteriskRoot:
    _need_root()
    if shutil.which("mmdebstrap") is None:
        raise NotInstalled("No Asterisk: run `apt-get install mmdebstrap`, which fetches one for the lab.")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root := _kept()) is None:
            _fetch(cache() / f"asterisk-{RELEASE}")
            root = _kept()
    if root is None:
        raise NotInstalled(f"No Asterisk: {cache()} was removed meanwhile.")
    return root


def _fetch(target: Path) -> None:
    """Make the root file system beside `target` and move it there when it is whole. Raises NotInstalled."""
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [
        "mmdebstrap",
        "--variant=essential",
        "--include=asterisk",
        # A mirror's release file can be past its date; the packages in it are signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        RELEASE,
        str(part),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_S)  # noqa: S603
    if done.returncode != 0:
        raise NotInstalled(f"No Asterisk: `{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
    # Names are looked up for every call; in here there is one, and nobody to ask for others.
    (part / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (part / "etc/resolv.conf").write_text("")
    part.rename(target)
