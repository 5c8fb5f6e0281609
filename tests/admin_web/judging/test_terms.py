"""The terms that follow from the record of a registry and of its version."""

from datetime import UTC, datetime, timedelta

import pytest

from admin_web.judging.terms import NEVER_STALE, terms_of
from admin_web.record.models import Registry, RegistryVersion
from compliance.area_codes import prefixes_of

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRESH = AT + timedelta(days=31)


def registry(**more) -> Registry:
    values = {
        "name": "us-ftc", "country": "US", "area_codes": ["212", "415"], "by_area_code": True, "fresh_days": 31,
        "when_stale": "block", "when_uncovered": "pass", "spared": ["service"],
    }  # fmt: skip
    return Registry(**(values | more))


def version(*area_codes: str, **more) -> RegistryVersion:
    return RegistryVersion(**({"obtained_at": AT, "area_codes": list(area_codes), "obtained": {}} | more))


def test_a_registry_without_a_version_covers_nothing():
    terms = terms_of(registry(), None)
    assert (terms.name, terms.prefixes, terms.covered) == ("us-ftc", {"1212", "1415"}, {})


@pytest.mark.parametrize(
    ("known", "held", "covered"),
    [
        (registry(), version("415"), {"1415": FRESH}),
        (registry(), version("415", "628"), {"1415": FRESH, "1628": FRESH}),
        (registry(), version(), {"1212": FRESH, "1415": FRESH}),
        (registry(by_area_code=False), version("415"), {"1212": FRESH, "1415": FRESH}),
        (registry(by_area_code=False), version("628"), {"1212": FRESH, "1415": FRESH, "1628": FRESH}),
        (registry(fresh_days=0), version("415"), {"1415": NEVER_STALE}),
        (registry(name="uk-tps", country="GB", area_codes=[], by_area_code=False), version(), {"44": FRESH}),
        (
            registry(fresh_days=1),
            version("212", "415", obtained={"212": (AT - timedelta(days=9)).isoformat()}),
            {"1212": AT - timedelta(days=8), "1415": AT + timedelta(days=1)},
        ),
    ],
)
def test_a_version_covers_its_area_codes_or_the_whole_each_as_long_as_it_is_fresh(known, held, covered):
    assert terms_of(known, held).covered == covered


def test_a_registry_of_no_area_codes_should_cover_its_country():
    assert terms_of(registry(area_codes=[]), None).prefixes == prefixes_of("US")


@pytest.mark.parametrize(
    ("said", "blocks"),
    [
        ({"when_stale": "block"}, (True, False)),
        ({"when_stale": "warn"}, (False, False)),
        ({"when_stale": "odd"}, (True, False)),
        ({"when_stale": "warn", "when_uncovered": "block"}, (False, True)),
        ({"when_stale": "warn", "when_uncovered": "odd"}, (False, True)),
    ],
)
def test_what_does_not_say_plainly_that_it_passes_blocks(said, blocks):
    terms = terms_of(registry(**said), None)
    assert (terms.blocks_when_stale, terms.blocks_uncovered, terms.spared) == (*blocks, ("service",))
