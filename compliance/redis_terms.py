"""The terms as one JSON document in Redis. `Keys.terms` is its key, and `dnc:state` holds its digest.

The worker writes the document. The gate fetches it when the digest changes, and keeps the parsed terms in memory.

Without patterns and campaign lists the document is a list of registries, as gates of version 0.2 know it. With them it
is an object. Such a gate cannot read it, and blocks every call.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from compliance.redis_schema import INTERNAL, epoch_ms, from_epoch_ms
from compliance.terms import AllTerms, CampaignList, RegistryTerms

_DIGITS = re.compile("[0-9]{1,15}")


def terms_value(
    registries: Iterable[RegistryTerms], patterns: Iterable[str] = (), campaign_lists: Iterable[CampaignList] = ()
) -> bytes:
    """Encode all terms. Equal terms always give the same bytes."""
    encoded = [_encode(one) for one in sorted(registries, key=lambda one: one.name)]
    own = {
        "patterns": sorted(patterns),
        "campaign_lists": {one.name: sorted(one.campaigns) for one in campaign_lists},
    }
    document = {"registries": encoded, **own} if any(own.values()) else encoded
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


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


def read_terms(value: bytes) -> AllTerms:
    """Parse a document that `terms_value` encoded. Raises ValueError for any other."""
    try:
        document = json.loads(value)
        if isinstance(document, list):
            return AllTerms(tuple(map(_decode, document)))
        return AllTerms(
            tuple(map(_decode, document["registries"])),
            tuple(map(_pattern, document["patterns"])),
            tuple(_campaign_list(name, campaigns) for name, campaigns in document["campaign_lists"].items()),
        )
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("this is not a document of terms") from error


def _pattern(digits: str) -> str:
    if _DIGITS.fullmatch(digits):
        return digits
    raise ValueError(f"{digits!r} is not a pattern")


def _campaign_list(name: str, campaigns: object) -> CampaignList:
    # With such terms the gate would look a number up on the list `internal` only for these campaigns.
    if name == INTERNAL:
        raise ValueError(f"{name!r} is not a campaign list")
    return CampaignList(name, _texts(campaigns))


def _decode(one: dict[str, Any]) -> RegistryTerms:
    (name,) = _texts([one["name"]])
    if name == INTERNAL:  # The gate looks a number up in a registry only if the registry should cover it.
        raise ValueError(f"{name!r} is not a registry")
    return RegistryTerms(
        name,
        frozenset(_texts(one["prefixes"])),
        {prefix: from_epoch_ms(int(ms)) for ms, prefixes in one["covered"].items() for prefix in _texts(prefixes)},
        # A later version may write a value that this version does not know. Such a value must not allow calls, so every
        # value except "warn" and "pass" means block.
        one["when_stale"] != "warn",
        one["when_uncovered"] != "pass",
        _texts(one["spared"]),
    )


def _texts(values: object) -> tuple[str, ...]:
    """Return a list of texts as a tuple. Raises ValueError for anything else, which could match no number or call."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r} is not a list of texts")
    return tuple(values)


def terms_digest(value: bytes) -> str:
    """Return the digest of an encoded document, 16 hexadecimal digits, as `dnc:state` holds it."""
    return hashlib.sha256(value).hexdigest()[:16]
