"""One of everything that a path of the site can refer to."""

from admin_web.people.accounts import add_user
from admin_web.services.campaign_lists import add_campaign_list
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.registries import EditedTerms, add_registry
from admin_web.services.suppression import suppress
from admin_web.services.webhooks import add_webhook
from admin_web.webhooks.events import Event
from compliance.consent import Role
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER
from tests.support.site import PASSWORD, Site


async def furnish(site: Site) -> Site:
    """Put one of everything on record."""
    await add_user(site.database, ADMIN, "somebody", Role.AGENT, PASSWORD)
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 1")])
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant_override(site.records, ADMIN, CONSENT)
    await add_registry(site.records, ADMIN, "us-ftc", "", EditedTerms())
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    await add_webhook(site.records, ADMIN, site.settings, "https://crm.example/", [Event.LIFT])
    return site
