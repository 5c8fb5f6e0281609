"""The pages of registries: adding and viewing them, changing their terms, and messages for invalid terms."""

import re

import pytest

from admin_web.record.models import Registry
from admin_web.services.registries import EditedTerms, add_registry, set_terms
from compliance.consent import Role
from tests.support.records import ADMIN
from tests.support.site import Browser, Site

TERMS = {
    "fresh_days": "28", "when_stale": "warn", "when_uncovered": "block", "area_codes": "202 415", "covers": "whole",
    "spared": "survey", "owner_account": "SAN 1",
}  # fmt: skip


@pytest.fixture
async def admin(site: Site) -> Browser:
    await add_registry(site.records, ADMIN, "us-ftc", "", EditedTerms())
    return await site.person(Role.ADMIN)


async def seen(browser: Browser) -> dict[str, str]:
    found = re.search(r'name="seen" value="([^"]*)"', await browser.page("/registries/us-ftc"))
    assert found
    return {"seen": found[1]}


async def on_record(site: Site) -> Registry:
    async with site.database.read() as session:
        return await session.get_one(Registry, "us-ftc")


async def test_a_registry_is_shown_wherever_registries_are(site: Site, admin: Browser):
    for path in ("/registries", "/registries/+new", "/registries/us-ftc", "/enforcement"):
        assert "us-ftc" in await admin.page(path), path


async def test_the_terms_are_set_and_stand(site: Site, admin: Browser):
    await admin.follow(await admin.post("/registries/us-ftc", {**TERMS, **await seen(admin)}))
    one = await on_record(site)
    assert (one.fresh_days, one.when_stale, one.when_uncovered, one.by_area_code) == (28, "warn", "block", False)
    assert (one.area_codes, one.spared, one.owner_account, one.changed_by) == (
        ["202", "415"],
        ["survey"],
        "SAN 1",
        "admin",
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("fresh_days", "x", "A copy is fresh for 1 to 366 days"),
        ("fresh_days", "367", "A copy is fresh for 1 to 366 days"),
        ("when_stale", "odd", "warns or blocks"),
        ("when_uncovered", "odd", "does not cover pass or block"),
        ("area_codes", "202 20x", "is not an area code"),
        ("spared", "a b!", "is not a campaign"),
        ("owner_account", "x" * 65, "longer than 64 characters"),
    ],
)
async def test_what_cannot_be_set_is_said_beside_its_field_and_the_input_kept(
    site: Site, admin: Browser, field: str, value: str, said: str
):
    sent = {**TERMS, "area_codes": "202 415 917", **await seen(admin), field: value}
    refused = await admin.post("/registries/us-ftc", sent)
    assert refused.status == 422
    assert said in refused.text.split(f'id="{field}-error"')[1].split("</div>")[0]
    assert f'value="{sent["area_codes"]}"' in refused.text
    assert (await on_record(site)).changed_at is None


async def test_terms_that_somebody_else_has_set_meanwhile_are_not_overwritten(site: Site, admin: Browser):
    before = await seen(admin)
    await set_terms(site.records, ADMIN, "us-ftc", EditedTerms(fresh_days=7))
    refused = await admin.post("/registries/us-ftc", {**TERMS, **before})
    assert (refused.status, "admin changed the terms in the meantime" in refused.text) == (422, True)
    assert (await on_record(site)).fresh_days == 7
    assert (await admin.post("/registries/us-ftc", {**TERMS, **await seen(admin)})).status == 303
    assert (await on_record(site)).fresh_days == 28


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"name": "us-ftc"}, "name", "There is already a registry us-ftc."),
        ({"name": "internal"}, "name", "cannot be the name of a registry"),
        ({"name": "A b"}, "name", "cannot be the name of a registry"),
        ({"name": "mine"}, "country", "give the country whose numbers"),
        ({"name": "mine", "country": "XX"}, "country", "give the country whose numbers"),
        ({"name": "us-ftcc"}, "country", "us-ftcc is no known registry"),
        ({"name": "us-zz"}, "country", "us-zz is no known registry"),
    ],
)
async def test_a_registry_that_cannot_be_added_is_refused_beside_its_field(
    site: Site, admin: Browser, sent: dict[str, str], field: str, said: str
):
    refused = await admin.post("/registries/+new", sent)
    assert refused.status == 422
    assert said in refused.text.split(f'id="{field}-error"')[1].split("</div>")[0]
    assert f'value="{sent["name"]}"' in refused.text
