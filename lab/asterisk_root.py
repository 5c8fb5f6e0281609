"""Find a usable Asterisk: the installed one, or one from Debian that is fetched once into a cache directory."""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.process import NotInstalled

OLDEST = 20
"""The oldest major version of Asterisk that the dialplan supports."""

RELEASE = "forky"
"""The Debian release that has Asterisk 22. Debian 12 and 13 have no asterisk package."""

FETCH_S = 900


@dataclass(frozen=True, slots=True)
class AsteriskRoot:
    """An Asterisk: the root of its file system (`/` if it is installed normally), and the output of `asterisk -V`."""

    path: Path
    version: str


def find() -> AsteriskRoot:
    """Return a usable Asterisk; fetch one if there is none. Raises NotInstalled, which says what to install."""
    return _own() or _kept() or _fetched()


def cache() -> Path:
    """Return the directory for fetched root file systems: `DNC_LAB_CACHE` if set, else `~/.cache/dnc-gate`."""
    return Path(os.environ.get("DNC_LAB_CACHE") or Path.home() / ".cache" / "dnc-gate")


def _own() -> AsteriskRoot | None:
    binary = shutil.which("asterisk")
    if binary is None:
        return None
    said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return AsteriskRoot(Path("/"), said.strip()) if _major(said) >= OLDEST else None


def _major(said: str) -> int:
    """Return the major version in text like "Asterisk 22.10.1+dfsg…", or 0 if there is none."""
    found = re.match(r"Asterisk (\d+)\.", said)
    return int(found[1]) if found else 0


def _kept() -> AsteriskRoot | None:
    """Return the Asterisk that was fetched earlier, or None. Only root can run it, by chroot and mount."""
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
        raise NotInstalled("No Asterisk: run `apt-get install mmdebstrap`. The lab uses it to fetch Asterisk.")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root := _kept()) is None:
            _fetch(cache() / f"asterisk-{RELEASE}")
            root = _kept()
    if root is None:
        raise NotInstalled(f"No Asterisk: {cache()} was removed during the fetch.")
    return root


def _fetch(target: Path) -> None:
    """Build the root file system next to `target`, and rename it when it is complete. Raises NotInstalled."""
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [
        "mmdebstrap",
        "--variant=essential",
        "--include=asterisk",
        # A mirror's release file can be out of date. apt still verifies its signature.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        RELEASE,
        str(part),
    ]
    # apt runs as a user of its own, who must be able to read this root file system.
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=FETCH_S, umask=0o022
    )
    if done.returncode != 0:
        raise NotInstalled(f"No Asterisk: `{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
    # Asterisk resolves a host name for every call. The only name that it needs is in /etc/hosts. Without a DNS server
    # no look-up can delay a call.
    (part / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (part / "etc/resolv.conf").write_text("")
    part.rename(target)
