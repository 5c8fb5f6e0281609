"""The options after the question mark of a Redis URL."""

from urllib.parse import parse_qsl

_CREDENTIALS = {"username", "password"}
_SENTINEL = {"sentinel_username", "sentinel_password"}
_NUMBERS = {"db", "ssl_min_version"}
_CERTIFICATE = ("required", "optional", "none")
_TLS = {
    "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_keyfile", "ssl_min_version", "ssl_password",
}  # fmt: skip
"""redis-py has these arguments for connections with TLS. It takes an unknown option for an argument too, and fails."""


def options_of(scheme: str, query: str) -> tuple[tuple[str, str], ...]:
    """Return the options of a URL as names and values.

    Raises ValueError if one is unknown or unreadable. The message repeats none, because a part of a password may be
    taken for an option.
    """
    options = tuple(parse_qsl(query, keep_blank_values=True))
    known = _known(scheme)
    if any(name not in known for name, _ in options):
        raise ValueError(f"the options after ? can be {', '.join(sorted(known))}; those of TLS need rediss")
    for name, value in options:
        if name in _NUMBERS and not (value.isascii() and value.isdecimal()):
            raise ValueError(f"write a whole number after {name}=")
        if name == "ssl_cert_reqs" and value not in _CERTIFICATE:
            raise ValueError(f"write {', '.join(_CERTIFICATE)} after {name}=")
    return options


def _known(scheme: str) -> set[str]:
    kind = scheme.partition("+")[2]
    more = {"sentinel": _SENTINEL, "cluster": set[str]()}.get(kind, set[str]())
    tls = _TLS if scheme.startswith("rediss") else set[str]()
    return {"db"} | _CREDENTIALS | more | tls
