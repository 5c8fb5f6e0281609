"""docs/security.md agrees with the code: recorded actions, limits, and every chapter of OWASP ASVS 5.0."""

import re
from pathlib import Path

import pytest

from admin_web.people import known_browsers, passwords, recovery_codes, security_events, sessions, sign_in_queue, tokens
from admin_web.people.throttle import UNLOCKED, account_attempt, sign_in_attempt
from admin_web.record.changes import SECURITY

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "security.md").read_text()
REFUSALS = {"sign-in-refused", "password-refused", "throttled", "token-refused", "forbidden", "forged-form", "export"}


@pytest.mark.parametrize("action", sorted(SECURITY | REFUSALS))
def test_every_security_event_stands_in_the_guide(action: str):
    assert re.search(rf"^\|.*`{action}`", GUIDE, re.MULTILINE)


def test_the_limits_of_the_guide_are_those_of_the_code():
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+) seconds \|$", GUIDE, re.MULTILINE)
    strange = {bucket.key.partition(":")[0]: bucket for bucket in sign_in_attempt("a", "192.0.2.1").buckets}
    known, own = sign_in_attempt("a", "", "browser").buckets, account_attempt("a").buckets
    buckets = [*known, strange["pair"], strange["name"], strange["address"], *own]
    assert [(int(most), float(refill)) for most, refill in rows] == [(one.most, one.refill_s) for one in buckets]
    assert f"for {known_browsers.LIFE_S // 86400} days" in GUIDE
    assert f"for {UNLOCKED.total_seconds() / 60:g} minutes" in GUIDE
    assert f"Up to {sign_in_queue.MOST_WAITING} more wait" in GUIDE
    assert (sign_in_queue.AT_ONCE, passwords.HASHES_AT_ONCE, recovery_codes.HOW_MANY) == (4, 2, 10)


def test_the_times_of_the_guide_are_those_of_the_code():
    assert f"ends {sessions.LIFE.total_seconds() / 3600:g} hours after the sign-in" in GUIDE
    assert f"after {sessions.IDLE.total_seconds() / 3600:g} hours without a request" in GUIDE
    assert (passwords.FIRST_PASSWORD_LIFE.days, tokens.USUAL_LIFE.days, tokens.LONGEST_LIFE.days) == (3, 365, 732)
    thinned = f"at most {security_events.MOST_OF_NETWORK} events of each action are recorded for each network"
    assert thinned in " ".join(GUIDE.split())
    assert f"at most {security_events.MOST_OF_ACTION} in" in " ".join(GUIDE.split())


@pytest.mark.parametrize("chapter", range(1, 18))
def test_every_chapter_of_the_standard_is_judged(chapter: int):
    rows = re.findall(rf"^\| \**V{chapter}[. ](.*)\|$", GUIDE, re.MULTILINE)
    states = [row.split(" | ")[1].strip(" |") for row in rows]
    assert [state for state in states if state]
    assert set(states) <= {"", "met", "partly", "not met", "not applicable"}


def test_each_module_and_test_that_the_guide_names_exists():
    table = GUIDE.partition("## OWASP")[2]
    names = {file.name for folder in ("admin_web", "tests") for file in (ROOT / folder).rglob("*.py")}
    found = re.findall(r"`([\w/]+\.py)`", table)
    assert len(found) > 10
    for named in found:
        assert Path(named).name in names, named
        assert named.startswith("test_") or list((ROOT / "admin_web").rglob(named)), named
