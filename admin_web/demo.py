"""A small demo to look at: numbers reserved for fiction (555-01XX), and leads that stand for nobody."""

from collections.abc import AsyncIterator
from datetime import timedelta

from admin_web.documents import DocumentStore
from admin_web.one_page import pdf_of
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import Consent, OverrideStands, grant_override
from admin_web.services.records import Actor, Records, Standing
from admin_web.services.suppression import suppress_many
from compliance.consent import ATTESTATION, Basis
from compliance.numbers import E164, LeadId

LISTED = (E164("+14155550100"), E164("+14155550101"))
FREE = E164("+14155550199")
OPEN_LEAD = LeadId("demo-2")
"""Of the two leads on the first listed number, the one that holds an override."""

LEADS = (
    LeadGiven(LeadId("demo-1"), LISTED[0], "Demo lead 1"),
    LeadGiven(OPEN_LEAD, LISTED[0], "Demo lead 2, with consent"),
    LeadGiven(LeadId("demo-3"), LISTED[1], "Demo lead 3"),
    LeadGiven(LeadId("demo-4"), FREE, "Demo lead 4, on no list"),
)

CONSENT = (
    "CONSENT TO BE CALLED (made up for the demo; it stands for no real person)",
    "",
    "I agree that this company calls me on +1 415 555 0100,",
    "although this number is on its Do-Not-Call list.",
    "",
    "Demo lead 2",
)


async def seed(records: Records, actor: Actor, documents: DocumentStore) -> Standing:
    """Put the demo on record, as far as it is not there yet, and into force."""
    await put_leads(records, actor, LEADS)
    done = await suppress_many(records, actor, LISTED, source="demo", note="seeded for the demo")
    kept = await documents.keep(_consent(), "demo-consent.pdf")
    yesterday = (records.now() - timedelta(days=1)).date()
    consent = Consent(OPEN_LEAD, Basis.SIGNED_CONSENT, yesterday, kept, ATTESTATION)
    try:
        return (await grant_override(records, actor, consent)).standing
    except OverrideStands:
        return done.standing


async def _consent() -> AsyncIterator[bytes]:
    yield pdf_of(CONSENT)
