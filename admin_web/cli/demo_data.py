"""A small set of demo data: numbers reserved for fiction (555-01XX), and leads that are no real persons."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from admin_web.cli.one_page import pdf_of
from admin_web.documents import DocumentStore
from admin_web.services import Actor, Records, Standing
from admin_web.services.consents import Consent
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import suppress_many
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.consent import ATTESTATION, Basis
from compliance.numbers import E164, LeadId
from compliance.openable import OverrideStands

LISTED = (E164("+14155550100"), E164("+14155550101"))
FREE = E164("+14155550199")
OPEN_LEAD = LeadId("demo-2")
"""The lead with an override, of the two leads on the first listed number."""

LEADS = (
    LeadGiven(LeadId("demo-1"), LISTED[0], "Demo lead 1"),
    LeadGiven(OPEN_LEAD, LISTED[0], "Demo lead 2, with consent"),
    LeadGiven(LeadId("demo-3"), LISTED[1], "Demo lead 3"),
    LeadGiven(LeadId("demo-4"), FREE, "Demo lead 4, on no list"),
)
"""The leads that the canary asks about. Each seeding restores them."""

SHARED = E164("+12125550110")
ENDING_LEAD = LeadId("demo-8")
"""The lead with an override that ends soon, of the four leads on the shared number."""

MORE = (
    ("demo-5", SHARED, "Northwind Traders, purchasing"),
    ("demo-6", SHARED, "Northwind Traders, sales"),
    ("demo-7", SHARED, "Northwind Traders, workshop"),
    (ENDING_LEAD, SHARED, "Northwind Traders, front desk"),
    ("demo-9", "+12125550111", "Contoso Dental"),
    ("demo-10", "+12125550112", "Fabrikam Roofing"),
    ("demo-11", "+12125550113", "Tailspin Motors"),
    ("demo-12", "+13105550114", "Adatum Insurance"),
    ("demo-13", "+13105550114", "Adatum Insurance, claims"),
    ("demo-14", "+13105550115", "Litware Bakery"),
    ("demo-15", "+13105550116", "Proseware Electric"),
    ("demo-16", "+16175550117", "Alpine Ski House"),
    ("demo-17", "+16175550118", "Wingtip Clinic"),
    ("demo-18", "+16175550119", "Trey Gardens"),
    ("demo-19", "+442079460120", "Lakeside Freight"),
    ("demo-20", "+442079460121", "Meridian Optics"),
)
"""Leads that fill the pages. They are added once and never restored. +44 20 7946 0xxx is reserved for fiction too."""

WRAP_UPS = (
    ("demo-9", Outcome.NO_ANSWER, ""),
    ("demo-10", Outcome.CALL_BACK, "After four in the afternoon."),
    ("demo-11", Outcome.NOT_INTERESTED, ""),
    ("demo-12", Outcome.DO_NOT_CALL, "Asked not to be called again."),
    ("demo-15", Outcome.SALE, "Ordered for the spring."),
    ("demo-17", Outcome.WRONG_NUMBER, ""),
)


async def seed(records: Records, actor: Actor, documents: DocumentStore) -> Standing:
    """Add the demo data that is missing, and bring it into force. Return whether it is in force."""
    added, _, _ = await put_leads(records, actor, LEADS)
    done = await suppress_many(records, actor, LISTED, source="demo", note="seeded for the demo")
    standing = await _open(records, actor, documents, OPEN_LEAD, Basis.SIGNED_CONSENT) or done.standing
    return await _fill(records, actor, documents) if added else standing


async def _fill(records: Records, actor: Actor, documents: DocumentStore) -> Standing:
    """Add the leads that fill the pages, with their wrap-ups and overrides."""
    await put_leads(records, actor, [LeadGiven(LeadId(lead), E164(number), name) for lead, number, name in MORE])
    done = await suppress_many(records, actor, [SHARED], source="demo", note="seeded for the demo")
    for lead, outcome, note in WRAP_UPS:
        await wrap_up(records, actor, LeadId(lead), outcome, note=note)
    soon = records.now() + timedelta(days=20)
    return await _open(records, actor, documents, ENDING_LEAD, Basis.WRITTEN_CONSENT, soon) or done.standing


async def _open(
    records: Records,
    actor: Actor,
    documents: DocumentStore,
    lead: LeadId,
    basis: Basis,
    expires_at: datetime | None = None,
) -> Standing | None:
    """Place an override on a lead with a document of its own; return None when it has one already."""
    kept = await documents.keep(_consent(lead), f"{lead}-consent.pdf")
    yesterday = (records.now() - timedelta(days=1)).date()
    consent = Consent(lead, basis, yesterday, kept, ATTESTATION, expires_at=expires_at)
    try:
        return (await grant_override(records, actor, consent)).standing
    except OverrideStands:
        return None


async def _consent(lead: LeadId) -> AsyncIterator[bytes]:
    yield pdf_of(
        (
            "CONSENT TO BE CALLED (made up for the demo; it stands for no real person)",
            "",
            "I agree that this company calls me on my telephone,",
            "although its number is on the company's Do-Not-Call list.",
            "",
            lead,
        )
    )
