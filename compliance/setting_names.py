"""The names of all settings, and the variables that look like settings and are none.

The gate and the site often share their environment. So each of them must know the settings of both.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PREFIX = "DNC_"
FROM_FILE = "_FILE"
"""End of the name of a variable that names a file, whose content is the value of the setting."""

NAMES = frozenset(
    {
        "agent_channel", "agi_bind", "agi_peers", "ami_address", "ami_secret", "ami_user", "call_context", "cdr_file",
        "consent_policy", "data_dir", "database_url", "deadline_ms", "document_mb", "documents_url", "gates",
        "hang_up_on_revocation", "import_mb", "instance", "lease_s", "log_level", "metrics_bind", "most_conversations",
        "most_conversations_of_peer", "peer_ms", "prefix", "redis_url", "region", "registry_mb", "replicas",
        "require_totp", "review_first", "ring_s", "spool_dir", "spool_mb", "time_zone", "trunk_channels", "verify_hour",
        "web_bind", "web_hosts", "web_prefix", "web_proxies", "webhook_http", "webhook_private", "worker_bind",
    }
)  # fmt: skip
"""The settings of the gate and of the site, as their fields are named."""

OTHERS = frozenset({"DNC_LAB_CACHE"})
"""Variables with the same prefix that other programs of the repository read."""

_KNOWN = frozenset(f"{PREFIX}{name.upper()}" for name in NAMES)
_LINE = re.compile(rf"^\s*(?:export\s+)?({PREFIX}\w*)\s*=", re.MULTILINE | re.ASCII | re.IGNORECASE)


def unknown_settings(environment: Mapping[str, str] = os.environ, env_file: Path = Path(".env")) -> Iterator[str]:
    """Yield a sentence for each variable of the environment and of the `.env` file that no program reads.

    The sentence never contains a value, which may be a password.
    """
    from_files = {f"{name}{FROM_FILE}" for name in _KNOWN}
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in _KNOWN | from_files | OTHERS:
            yield f"{name} is no setting and is ignored{_nearest(name, _KNOWN | from_files)}"
    for name in _names_in(env_file):
        if name.upper() in from_files - _KNOWN:
            yield f"{name} in {env_file} is ignored: set it as a variable of the environment"
        elif name.upper() not in _KNOWN | OTHERS:
            yield f"{name} in {env_file} is no setting and is ignored{_nearest(name, _KNOWN)}"


def _names_in(env_file: Path) -> list[str]:
    try:
        return sorted(set(_LINE.findall(env_file.read_text(encoding="utf-8", errors="replace"))))
    except OSError:  # There is usually no such file. If it cannot be read, reading the settings fails.
        return []


def _nearest(name: str, known: frozenset[str] | set[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - rarely needed, and the gate must start quickly

    found = get_close_matches(name.upper(), known, n=1)
    return f"; did you mean {found[0]}?" if found else ""
