"""What the address of a page names: a lead, an override, the id of a row."""

from aiohttp import web

from admin_web.queries.lead import LeadPage, lead_page
from admin_web.queries.monitor import WholeOverride, whole_override
from admin_web.services.leads import UnknownLead
from admin_web.services.revocation import UnknownOverride
from admin_web.site.keys import DATABASE, NOW
from compliance.numbers import LeadId, lead_id

LONGEST_ID = 18
"""Maximum number of digits of an id. A number of 18 digits always fits into a 64-bit integer."""


def id_in(text: str) -> int | None:
    """Return the id of a row that a text is; None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_ID else None


async def the_lead(request: web.Request) -> LeadPage:
    """Read the lead named in the URL, about the number in the query if it has that. Raises UnknownLead."""
    wanted = request.query.get("number", "")
    return await lead_page(request.app[DATABASE], lead_of(request), request.app[NOW](), wanted)


def lead_of(request: web.Request) -> LeadId:
    """Read the lead's id from the URL. Raises UnknownLead."""
    lead = lead_id(request.match_info["lead"])
    if lead is None:
        raise UnknownLead("There is no such lead.")
    return lead


async def override_of(request: web.Request) -> WholeOverride:
    """Return the override named in the URL. Raises UnknownOverride."""
    asked = request.match_info["override"]
    override_id = id_in(asked)
    if override_id is not None:
        whole = await whole_override(request.app[DATABASE], override_id, request.app[NOW]())
        if whole is not None:
            return whole
    raise UnknownOverride(f"There is no override {asked[:LONGEST_ID]}.")
