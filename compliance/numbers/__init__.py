"""Normalise dialled digits to one E.164 number or refuse them; recognise emergency numbers; mask numbers for logs.

Each telephone has one key, its E.164 number. The PBX dials the key, never the dialled digits. So if digits are misread,
the call may reach a wrong number, but never a listed number. Digits without `+` are a national number of the region, or
begin with the region's international prefix or country code. They are never a national number of another country.

Known gaps, through which a call can reach a listed person under another key:
- Germany, Austria and other countries with numbers of varying length: digits that were dialled after a complete number
  or as its extension become part of the key.
- Numbers from before a country changed its plan, unless each old number became exactly one new number.
- A country code that is written twice, if the digits are also another possible number (Germany, Indonesia). The same
  holds for a country code without `+` before a number that is newer than the library's metadata.
- Call forwarding, and one subscriber with several numbers.
"""

from compliance.numbers.dialled import common_form, normalize
from compliance.numbers.direction import visible
from compliance.numbers.emergency import LONGEST_EMERGENCY_NUMBER, emergency_number
from compliance.numbers.kinds import E164, LEAD_ID, LeadId, lead_id
from compliance.numbers.masking import mask
from compliance.numbers.plan import NANP_REGIONS, known_region
from compliance.numbers.refusal import LONGEST_INPUT, REFUSALS, InvalidNumber

__all__ = [
    "E164",
    "LEAD_ID",
    "LONGEST_EMERGENCY_NUMBER",
    "LONGEST_INPUT",
    "NANP_REGIONS",
    "REFUSALS",
    "InvalidNumber",
    "LeadId",
    "common_form",
    "emergency_number",
    "known_region",
    "lead_id",
    "mask",
    "normalize",
    "visible",
]
