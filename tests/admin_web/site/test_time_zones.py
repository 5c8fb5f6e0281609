"""One time zone for each person: in lists, filters, days, charts and exports, and one style of dates on every page."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from admin_web.people.own_account import set_time_zone
from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor
from admin_web.record.models import ApiToken, AuditEvent, Override, User
from admin_web.services.jobs import ask
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.registries import EditedTerms, add_registry
from admin_web.services.requests import record_request
from admin_web.services.telephones import assign_telephone
from admin_web.services.webhooks import add_webhook
from admin_web.site.routes import ROUTES
from admin_web.webhooks.events import Event
from admin_web.worker.decision_rows import _count
from compliance import dates
from compliance.consent import Role
from lab.redis import RedisServer
from tests.support.call_log import decision, put, record
from tests.support.consent import grant
from tests.support.paths import filled
from tests.support.records import ADMIN, LEAD, NUMBER, OTHER, Clock, rows
from tests.support.registries import file, take
from tests.support.site import PASSWORD, Browser, Site, settings_of

HERE = ZoneInfo("America/New_York")
"""The zone of the installation."""

EAST = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")
LATE = datetime(2026, 3, 1, 3, 30, 7, tzinfo=UTC)
"""28 February 22:30 in New York, 1 March 09:00 in Kolkata."""


@pytest.fixture
async def site(database_url: str, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Site]:
    settings = settings_of(database_url, redis_server.url, tmp_path / "data", time_zone=str(HERE))
    clock = Clock()
    async with Site(settings, clock) as site:
        await site.projection.rebuild()
        site.clock = clock
        yield site


async def person_in(site: Site, zone: tzinfo | str, role: Role = Role.AUDITOR) -> Browser:
    """Return a browser of a person who has chosen a zone."""
    await set_time_zone(site.database, Actor(str(role)), str(zone), site.now)
    return await site.person(role)


async def archived(site: Site, *rows) -> None:
    """Put decisions on record, and count them as the archive does."""
    await put(site.database, *rows)
    async with site.database.write() as session:
        await _count(session, [{"at": one.at, "verdict": one.verdict, "reason": one.reason} for one in rows], [])


def count_of(page: str, label: str) -> dict[str, str]:
    """Return the numbers of dials of a page's table, by the label of their step."""
    table = page[page.index('id="dials"') :]
    steps = re.findall(
        r'<th scope="row"><time[^>]*>([^<]+)</time></th>.*?<td class="text-end">([\d,]+)</td></tr>', table, re.DOTALL
    )
    return {step: number for step, number in steps if number != "0" and label in step}


@pytest.mark.parametrize(
    ("zone", "day", "at", "exported"),
    [
        (HERE, date(2026, 2, 28), "28 Feb 2026 22:30", "2026-02-28T22:30:07-05:00"),
        (EAST, date(2026, 3, 1), "1 Mar 2026 09:00", "2026-03-01T09:00:07+05:30"),
        (UTC, date(2026, 3, 1), "1 Mar 2026 03:30", "2026-03-01T03:30:07+00:00"),
    ],
)
async def test_people_in_two_zones_see_the_same_call_on_the_day_of_their_own_clocks(
    site: Site, zone: tzinfo, day: date, at: str, exported: str
):
    await archived(site, decision(1, LATE))
    browser, call = await person_in(site, zone), decision(1).id
    log = await browser.page("/calls")
    assert f">{at}</time>" in log
    assert f"Times and days are those of {zone}" in log
    for offset, there in ((-1, False), (0, True), (1, False)):
        on = day + timedelta(days=offset)
        for spelled in (on.isoformat(), dates.day(on)):
            query = f"since={spelled}&until={spelled}"
            page = await browser.page(f"/calls?{query}")
            assert (call in page) == there, spelled
            assert ("1 allowed" in page) == there, "the totals are of the same day"
            (*_, exports) = (await browser.get(f"/calls/export.csv?{query}")).text.splitlines()
            assert (call in exports) == there
    page = await browser.page("/?span=30d")
    assert count_of(page, "") == {dates.day(day): "1"}
    (row,) = csv.DictReader(io.StringIO((await browser.get("/calls/export.csv")).text))
    assert (row["at"], row["archived_at"]) == (exported, exported)
    (line,) = map(json.loads, (await browser.get("/calls/export.jsonl")).text.splitlines())
    assert line["at"] == exported
    own = await browser.page(f"/calls/{call}")
    assert f">{at}:07</time>" in own, "the page of a call is evidence, and has the seconds"


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
async def test_a_day_on_which_clocks_change_holds_each_call_once(site: Site, day: date, hours: int):
    begins = datetime.combine(day, datetime.min.time(), BERLIN).astimezone(UTC)
    calls = [decision(number, begins + timedelta(hours=number, minutes=30)) for number in range(-1, hours + 1)]
    await archived(site, *calls)
    site.clock.at = begins + timedelta(hours=hours + 12)
    browser = await person_in(site, BERLIN)
    exported = (await browser.get(f"/calls/export.csv?since={day}&until={day}")).text
    assert [one.id for one in calls if one.id in exported] == [one.id for one in calls[1:-1]]
    assert f"{hours} allowed" in await browser.page(f"/calls?since={day}&until={day}")
    assert count_of(await browser.page("/?span=7d"), dates.day(day)).keys()
    assert count_of(await browser.page("/?span=30d"), "") == {
        dates.day(day - timedelta(days=1)): "1", dates.day(day): str(hours), dates.day(day + timedelta(days=1)): "1",
    }  # fmt: skip
    times = [row["at"] for row in csv.DictReader(io.StringIO(exported))]
    assert len(set(times)) == hours, "the offset tells the two hours of one name apart"


async def test_a_link_with_days_means_the_days_of_its_reader_and_one_with_offsets_the_same_moments(site: Site):
    await archived(site, decision(1, LATE))
    by_day = "since=2026-02-28&until=2026-02-28"
    by_moment = "since=2026-02-28T22:00-05:00&until=2026-02-28T23:00-05:00"
    found = {}
    for zone, role in ((HERE, Role.AUDITOR), (EAST, Role.ADMIN)):
        browser = await person_in(site, zone, role)
        found[str(zone)] = [decision(1).id in await browser.page(f"/calls?{query}") for query in (by_day, by_moment)]
    assert found == {str(HERE): [True, True], str(EAST): [False, True]}


async def test_overrides_and_audit_events_are_filtered_by_the_days_of_the_reader(site: Site):
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 1")])
    await record_request(site.records, ADMIN, NUMBER, source="ivr", asked_on=date(2026, 2, 1))
    await grant(site, LEAD)
    async with site.database.write() as session:
        (await session.scalars(select(Override))).one().placed_at = LATE
        for event in await session.scalars(select(AuditEvent)):
            event.done_at = LATE
    for zone, day in ((HERE, date(2026, 2, 28)), (EAST, date(2026, 3, 1))):
        browser = await person_in(site, zone)
        for offset, there in ((-1, False), (0, True), (1, False)):
            on = day + timedelta(days=offset)
            period = f"since={on}&until={on}"
            assert ('href="/monitor/1"' in await browser.page(f"/monitor?shown=all&{period}")) == there
            assert ("consent.pdf" in (await browser.get(f"/monitor/export?shown=all&{period}")).text) == there
            assert ("grant-override</code>" in await browser.page(f"/audit?action=grant-override&{period}")) == there
            audited = (await browser.get(f"/audit/export?action=grant-override&{period}")).text
            assert (LATE.astimezone(zone).isoformat() in audited) == there


async def test_a_link_with_a_moment_keeps_it_in_the_filter_of_the_monitor(site: Site):
    browser = await person_in(site, EAST)
    page = await browser.page("/monitor?since=2026-02-28T22:00-05:00&until=2026-03-01")
    assert re.search(r'id="since" name="since" type="text" value="2026-02-28T22:00-05:00"', page)
    assert re.search(r'id="until" name="until" type="date" value="2026-03-01"', page)


@pytest.mark.parametrize(("zone", "ends"), [(HERE, "2027-03-06T05:00"), (EAST, "2027-03-05T18:30")])
async def test_the_last_day_of_a_token_ends_with_the_day_of_its_maker(site: Site, zone: tzinfo, ends: str):
    site.clock.at = LATE  # A token may last two years.
    admin = await person_in(site, zone, Role.ADMIN)
    assert f"until this day ends in {zone}" in await admin.page("/tokens/new")
    await admin.post("/tokens/new", {"name": "crm", "scope-read": "yes", "last_day": "2027-03-05"})
    (token,) = await rows(site.records, ApiToken)
    assert token.expires_at == datetime.fromisoformat(f"{ends}+00:00")


async def test_days_of_consents_and_requests_stay_days_of_the_installation_and_say_so(site: Site):
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 1")])
    site.clock.at = LATE
    browser = await person_in(site, EAST, Role.SUPERVISOR)
    said = f"The days of consents and of requests not to be called are those of {HERE}."
    assert said in await browser.page("/leads")
    for path in ("/lists/add", f"/lists/numbers/{NUMBER}"):
        assert f"Days are those of {HERE}." in await browser.page(path)
    await browser.post(f"/leads/{LEAD}/do-not-call")
    page = await browser.page(f"/leads/{LEAD}/override")
    assert f"Days are those of {HERE}." in page
    assert '<time datetime="2026-02-28">28 Feb 2026</time>' in page, "it was the 28th where the installation is"
    native = await person_in(site, "America/Detroit", Role.SUPERVISOR)  # Another name of the same days.
    for path in ("/leads", f"/leads/{LEAD}/override"):
        page = await native.page(path)
        assert said not in page
        assert "Days are those of" not in page


async def test_the_first_sign_in_takes_the_zone_of_the_browser_and_later_ones_do_not(site: Site):
    for sent, now in (("Asia/Kolkata", "Asia/Kolkata"), ("Europe/Berlin", "Asia/Kolkata"), ("", "Asia/Kolkata")):
        browser = site.browser()
        assert (
            await browser.post("/sign-in", {"name": "agent", "password": PASSWORD, "time_zone": sent})
        ).status == 303
        assert f"Times and days are those of {now} (UTC+05:30)." in await browser.page("/")
    entries = [event.particulars for event in await rows(site.records, AuditEvent) if event.action == "sign-in"]
    assert [entry.get("zone") for entry in entries] == ["Asia/Kolkata", None, None]


async def test_without_scripts_times_are_those_of_the_installation_until_the_person_chooses(site: Site):
    browser = site.browser()
    assert (await browser.sign_in("agent")).status == 303
    assert f"Times and days are those of {HERE} (UTC-05:00, the zone of this installation)." in await browser.page("/")
    form = await browser.page("/account")
    assert f"<option selected>{HERE}</option>" in form
    page = await browser.follow(await browser.post("/account/zone", {"zone": "Asia/Kolkata"}))
    assert "Times and days are those of Asia/Kolkata from now on." in page
    assert "<option selected>Asia/Kolkata</option>" in page
    assert "the zone of this installation" not in page


HOSTILE = (
    "",
    "Mars/Olympus",
    "../../etc/passwd",
    "x" * 3_000,
    "<script>alert(1)</script>",
    "Europe/Berlin\0",
    "Factory",
)


@pytest.mark.parametrize("zone", HOSTILE)
async def test_what_is_no_zone_is_refused_where_it_is_chosen_and_ignored_where_a_script_sends_it(site: Site, zone: str):
    browser = await person_in(site, EAST)
    answer = await browser.post("/account/zone", {"zone": zone})
    assert answer.status == 422
    assert "There is no such time zone. Choose one such as America/New_York or Europe/Berlin." in answer.text
    assert "<script>alert" not in answer.text
    other = site.browser()
    assert (await other.post("/sign-in", {"name": "agent", "password": PASSWORD, "time_zone": zone})).status == 303
    assert f"those of {HERE}" in await other.page("/")
    kept = {user.name: user.time_zone for user in await rows(site.records, User)}
    assert (kept["auditor"], kept["agent"]) == (str(EAST), "")


async def test_a_zone_that_this_machine_does_not_know_any_more_is_that_of_the_installation(site: Site):
    async with site.database.write() as session:
        (await session.scalars(select(User).where(User.name == "agent"))).one().time_zone = "Europe/Atlantis"
    assert f"those of {HERE}" in await (await site.person("agent")).page("/account")


async def test_no_other_person_s_zone_is_set(site: Site):
    browser = await site.person("agent")
    await browser.post("/account/zone", {"zone": "Asia/Kolkata", "name": "admin", "user": "admin"})
    kept = {user.name: user.time_zone for user in await rows(site.records, User)}
    assert kept == {"agent": "Asia/Kolkata", "supervisor": "", "admin": "", "auditor": ""}


async def furnish(site: Site, directory: Path) -> None:
    """Put something with a date on record for every page."""
    records = site.records
    given = [LeadGiven(LEAD, NUMBER, "Lead 1"), LeadGiven(LEAD.replace("1", "2"), OTHER, "Lead 2")]  # type: ignore[arg-type]
    await put_leads(records, ADMIN, given)
    for number in (NUMBER, OTHER):
        await record_request(records, ADMIN, number, source="ivr", asked_on=date(2026, 2, 1))
    override = (await grant(site, LEAD)).override_id
    await archived(
        site, decision(1, LATE, lead="L-1"), decision(2, LATE, verdict="BLOCK", reason="internal-dnc", lead="L-2"),
        decision(3, LATE, lead="L-1", override=str(override), reason="override"),
    )  # fmt: skip
    await put(
        site.database, record(1, LATE, decision_id=decision(1).id, answered_at=LATE, ended_at=LATE, seconds_billed=1),
        record(9, LATE, unscreened=True, telephone="PJSIP/alice"),
    )  # fmt: skip
    await add_registry(records, ADMIN, "us-ftc", "", EditedTerms())
    await take(records, "us-ftc", file(directory, "415,5550100\n"))
    await make_token(site.database, ADMIN, "crm", list(Scope))
    await add_webhook(records, ADMIN, site.settings, "https://crm.example/", [Event.LIFT])
    await assign_telephone(records, ADMIN, "PJSIP/bob", "agent", earlier=False)
    sheet = {"token": "t", "name": "tps.txt", "registry": "us-ftc", "lines": 1}
    registry = {
        "sheet": sheet,
        "obtained_on": "2026-02-27",
        "taken_as": "full",
        "allow_drop": False,
        "form": "",
        "column": "",
    }
    await ask(site.database, ADMIN, "import-registry", registry, now=site.now)


PARTS = {"lead": "L-1", "name": "crm", "user": "agent", "number": NUMBER, "kind": "numbers", "registry": "us-ftc",
         "decision": decision(1).id, "list": "internal"}  # fmt: skip

LINK = re.compile(r'href="(/[^"#?]*)"')
TIME = re.compile(r'<time datetime="([^"]+)"( title="[^"]+")?>([^<]*)</time>')
UNDATED = re.compile(
    r"<(script|style|code|textarea|footer)\b.*?</\1>|<select[^>]* id=\"zone\".*?</select>|<small class=\"form-hint\".*?"
    r"</small>|, asked on \d{1,2} [A-Z][a-z]{2} \d{4}</option>|Redis [0-9.]+|<[^>]+>",
    re.DOTALL,
)
"""What is no date of the record: tags, machine formats, hints how to type one, the choice of a zone, a version."""

MONTH = "|".join(month for month in dates.MONTHS if month != "May")
WEEKDAY = "(Mon|Tues?|Wed(nes)?|Thu(rs)?|Fri|Sat(ur)?|Sun)(day)?"
ANY_DATE = re.compile(
    r"\d{4}-\d\d|\b\d{1,2}[:h]\d\d\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b(19|20|29)\d\d\b|\b(UTC|AM|PM)\b|"
    rf"\b({MONTH}|{WEEKDAY})\b"
)


def other_styles(page: str, zone: tzinfo) -> list[str]:
    """Return every date on a page that is not in the one style, or not in this zone."""
    wrong = [found[0] for found in TIME.finditer(page) if not is_right(found[1], unescape(found[3]), zone)]
    assert page.count("<time") == len(TIME.findall(page))
    body = page[page.index("<body") :] if "<body" in page else page
    rest = UNDATED.sub(" ", TIME.sub(" ", body))
    return wrong + [
        found[0] + " in " + rest[max(0, found.start() - 60) : found.end() + 30] for found in ANY_DATE.finditer(rest)
    ]


def is_right(machine: str, shown: str, zone: tzinfo) -> bool:
    if len(machine) == len("2026-11-23"):
        return shown == dates.day(date.fromisoformat(machine))
    at = datetime.fromisoformat(machine)
    as_day = [dates.day(at)] if at.astimezone(zone).time() == datetime.min.time() else []
    return shown in {dates.moment(at, zone), dates.moment(at, zone, seconds=True), *as_day}


@pytest.mark.exhaustive
async def test_every_page_shows_dates_in_one_style_and_in_the_zone_of_its_reader(site: Site, tmp_path: Path):
    await furnish(site, tmp_path)
    admin = await person_in(site, EAST, Role.ADMIN)
    left = {filled(route.path, PARTS) for route in ROUTES if route.method == "GET"} - {"/sign-in"}
    left |= {"/?span=7d", "/?span=30d", "/monitor?shown=all", "/calls/records/2"}
    done, times, wrong = set[str](), 0, []
    while left:
        path = left.pop()
        done.add(path)
        answer = await admin.get(path)
        if answer.status != 200 or not answer.headers["Content-Type"].startswith("text/html"):
            continue
        times += answer.text.count("<time")
        wrong += [f"{path}: {one}" for one in other_styles(answer.text, EAST)]
        if "<body" in answer.text and f"those of {EAST} (UTC+05:30)" not in answer.text:
            wrong.append(f"{path}: names no zone")
        links = {unescape(link) for link in LINK.findall(answer.text) if not link.startswith(("?", "/static"))}
        left |= {link for link in links if link.count("?") == 0} - done
    assert wrong == []
    assert times > 150
    assert len(done) > 60


@pytest.mark.parametrize(
    "text", ["<p>2026-11-23</p>", "<p>at 14:05</p>", "<p>23/11/2026</p>", "<p>Nov 23</p>", "<td>2:05 PM</td>",
             "<p>since 12:30 UTC</p>", '<time datetime="2026-11-23T12:00:00Z">23 Nov 2026 12:00</time>',
             '<time datetime="2026-11-23">23 November</time>', "<p>Monday</p>"]
)  # fmt: skip
def test_the_walk_would_find_another_style(text: str):
    assert other_styles(text, EAST) != []


async def test_moments_in_messages_are_in_the_zone_of_the_reader(site: Site):
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 1")])
    await record_request(site.records, ADMIN, NUMBER, source="ivr", asked_on=date(2026, 2, 1))
    await grant(site, LEAD, site.now() + timedelta(days=60))
    admin = await person_in(site, EAST, Role.ADMIN)
    refused = await admin.get(f"/leads/{LEAD}/override")
    assert refused.status == 409
    assert ">30 Apr 2026 17:30</time>. Renew it" in refused.text
    site.clock.move(days=61)
    admin = await site.person(Role.ADMIN)
    gone = await admin.post("/monitor/1/revoke", {"reason": "x", "state": "active"})
    assert "expired on <time" in gone.text
    assert ">30 Apr 2026 17:30</time>, after you opened" in gone.text
    for page in (refused.text, gone.text):
        assert other_styles(page, EAST) == []
