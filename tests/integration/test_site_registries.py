"""The registries in the site: added, looked at, their terms set, and what cannot be set said."""

from admin_web.services.registries import Terms, add_registry
from compliance.consent import Role
from tests.records import ADMIN
from tests.site import Site


async def test_a_registry_is_added_shown_and_given_terms(site: Site):
    await add_registry(site.records, ADMIN, "us-ftc", "", Terms())
    admin = await site.person(Role.ADMIN)
    for path in ("/registries", "/registries/+new", "/registries/us-ftc", "/enforcement"):
        answer = await admin.get(path)
        assert (answer.status, "us-ftc" in await admin.page(path)) == (200, True), path
    refused = await admin.post(
        "/registries/us-ftc", {"fresh_days": "x", "when_stale": "warn", "when_uncovered": "pass"}
    )
    assert refused.status == 422
