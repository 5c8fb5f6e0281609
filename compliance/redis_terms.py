"""The registries' terms as one JSON document in Redis. `Keys.terms` is its key, and `dnc:state` holds its digest.

The worker writes the document. The gate fetches it when the digest changes, and keeps the parsed terms in memory.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from compliance.redis_schema import epoch_ms, from_epoch_ms
from compliance.terms import RegistryTerms


def terms_value(registries: Iterable[RegistryTerms]) -> bytes:
    """Encode the terms of all registries. Equal terms always give the same bytes."""
    encoded = [_encode(one) for one in sorted(registries, key=lambda one: one.name)]
    return json.dumps(encoded, separators=(",", ":"), sort_keys=True).encode("ascii")


def _encode(one: RegistryTerms) -> dict[str, object]:
    covered: dict[str, list[str]] = {}
    for prefix, until in sorted(one.covered.items()):
        covered.setdefault(str(epoch_ms(until)), []).append(prefix)
    return {
        "name": one.name,
        "prefixes": sorted(one.prefixes),
        "covered": covered,
        "when_stale": "block" if one.blocks_when_stale else "warn",
        "when_uncovered": "block" if one.blocks_uncovered else "pass",
        "spared": sorted(one.spared),
    }


def read_terms(value: bytes) -> tuple[RegistryTerms, ...]:
    """Parse a document that `terms_value` encoded. Raises ValueError for any other."""
    try:
        return tuple(_decode(one) for one in json.loads(value))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is not a document of registry terms") from error


def _decode(one: dict[str, Any]) -> RegistryTerms:
    return RegistryTerms(
        one["name"],
        frozenset(one["prefixes"]),
        {prefix: from_epoch_ms(int(ms)) for ms, prefixes in one["covered"].items() for prefix in prefixes},
        # A later version may write a value that this version does not know. Such a value must not allow calls, so every
        # value except "warn" and "pass" means block.
        one["when_stale"] != "warn",
        one["when_uncovered"] != "pass",
        tuple(one["spared"]),
    )


def terms_digest(value: bytes) -> str:
    """Return the digest of an encoded document, 16 hexadecimal digits, as `dnc:state` holds it."""
    return hashlib.sha256(value).hexdigest()[:16]
