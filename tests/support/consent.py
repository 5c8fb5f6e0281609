"""Overrides for tests of the site, placed by the service instead of the form."""

from datetime import datetime

from admin_web.services.consents import Consent
from admin_web.services.overrides import Granted, grant_override
from compliance.consent import ATTESTATION, Basis
from compliance.numbers import E164, LeadId
from tests.support.records import DOCUMENT, SUPERVISOR
from tests.support.site import Site

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


async def grant(site: Site, lead: LeadId, expires_at: datetime | None = None, number: E164 | None = None) -> Granted:
    """Place an override for a lead on its number, which must be listed. `number` is one of several."""
    at = site.now()
    consent = Consent(
        lead, Basis.SIGNED_CONSENT, at.date(), DOCUMENT, ATTESTATION, number=number, expires_at=expires_at
    )
    return await grant_override(site.records, SUPERVISOR, consent)
