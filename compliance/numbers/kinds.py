"""Types of the domain: the number of a telephone, and the id of a lead."""

import re
from typing import NewType

E164 = NewType("E164", str)
"""A telephone number: `+`, then country code and national number with 7 to 15 digits in all, such as `+14155550100`."""

LeadId = NewType("LeadId", str)
"""The id of a lead in the CRM: 1 to 64 ASCII letters, digits, dots, dashes and underscores."""

LEAD_ID = re.compile("[A-Za-z0-9_.-]{1,64}")


def lead_id(text: str) -> LeadId | None:
    """Return `text` as a lead id; None if it is not a valid lead id."""
    return LeadId(text) if LEAD_ID.fullmatch(text) else None
