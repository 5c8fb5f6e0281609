"""The texts that a generated call may send as its arguments, and what each dialled text means."""

EMERGENCY = "911"
NUMBERS = (
    "+14155550100", "+14155550101", "+14155550199", "+12125550110", "+12125550111", "+442079460120", "+442079460121",
)  # fmt: skip
"""Numbers that are reserved for fiction."""

NOWHERE = (
    "", "nonsense", "5550100", "415555010", "4155550100123456789", "+", "+1", "00", "1", "4155550100,",
    "\N{EURO SIGN}", "+1415555010\0", "415\r5550100", "++14155550100", "0114155550100", "911911", "+911",
    "a4155550100", "+999123456789", "+14155550100;ext", "4155550100 2125550110",
    "\N{RIGHT-TO-LEFT OVERRIDE}4155550100",
)  # fmt: skip
"""Dialled texts that mean no number."""

LEADS = ("lead-1", "lead-2", "lead.3_x", "")
CAMPAIGNS = ("sales", "spring", "unknown", "")
ODD_WORDS = ("lead 1", "lead-1,lead-1", "x" * 65, "\N{ARABIC-INDIC DIGIT ONE}", "lead-1\r", "a:b", "${X}", "\0", "'--")


def spellings(number: str) -> list[str]:
    """Return usual spellings of a number in the United States."""
    if not number.startswith("+1"):
        rest = number[3:]
        return [number, f"011{number[1:]}", f"+44 {rest[:2]} {rest[2:6]} {rest[6:]}"]
    area, exchange, line = number[2:5], number[5:8], number[8:]
    common = [number, number[1:], number[2:]]
    spaced = [f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"+1.{area}.{exchange}.{line}"]
    return common * 6 + spaced


MEANINGS = {
    **{written: number for number in NUMBERS for written in spellings(number)},
    **dict.fromkeys(NOWHERE, ""),
    EMERGENCY: EMERGENCY,
}
"""Dialled texts and what they mean: a number, `EMERGENCY`, or nothing."""
