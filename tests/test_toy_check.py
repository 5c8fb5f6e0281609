"""A new check needs one module and one line of the rule: then every part of the product obeys and explains it."""

import asyncio
import csv
import gc
import html
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from admin_web.cli.program import command_line
from admin_web.services.leads import add_lead
from admin_web.services.suppression import suppress
from agi_gate.canary import Answer, ask
from agi_gate.serving.server import Server
from agi_gate.settings import GateSettings
from compliance import rule
from compliance.consent import ATTESTATION, Role
from compliance.numbers import E164, LeadId
from compliance.openable import NotOpenable
from lab.redis import RedisServer
from tests.support import toy_check
from tests.support.api import Program
from tests.support.consent import PDF, grant
from tests.support.records import ADMIN
from tests.support.site import Site

SEVEN, LISTED_SEVEN, LISTED = E164("+14155550107"), E164("+14155550117"), E164("+14155550118")
FREE, LISTED_FREE = E164("+14155550108"), E164("+14155550119")
LEADS = {"L-7": SEVEN, "L-17": LISTED_SEVEN, "L-18": LISTED, "L-8": FREE}
NOTHING_OPENS = f"{toy_check.SENTENCE} No override can open this block."
CONSENT = {
    "basis": "signed-consent", "basis_note": "", "consented_on": "2026-01-15", "attestation": ATTESTATION,
    "number": SEVEN, "until": "", "replaces": "",
}  # fmt: skip


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, toy_check.CHECK))


@pytest.fixture
async def leads(site: Site) -> None:
    """Two numbers that end in 7, one of them listed, and two others. The leads on listed numbers have overrides."""
    for number in (LISTED_SEVEN, LISTED, LISTED_FREE):
        await suppress(site.records, ADMIN, number, source="test")
    for lead, number in LEADS.items():
        await add_lead(site.records, ADMIN, LeadId(lead), number, f"Lead {lead}")
    for lead in ("L-17", "L-18"):
        await grant(site, LeadId(lead))


@asynccontextmanager
async def gate(redis_server: RedisServer, directory: Path) -> AsyncIterator[int]:
    """Run the product's gate in this process, and yield its port."""
    settings = GateSettings(redis_url=redis_server.url, data_dir=directory, deadline_ms=1000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with Server(settings, "gate:toy").serving(listener):
            yield listener.getsockname()[1]


async def screened(port: int, number: str, lead: str = "") -> Answer:
    """Return the answer for a call. Answers from before the connection to Redis are ignored."""
    async with asyncio.timeout(60):
        while (answer := await ask("127.0.0.1", port, number, lead)).reason == "store-unavailable":
            pass
    return answer


@pytest.mark.usefixtures("toy", "leads")
async def test_the_gate_obeys_it_at_the_first_call_and_on_the_path_of_one_step(site, redis_server, tmp_path):
    async with gate(redis_server, tmp_path) as port:
        for _ in range(3):
            said = {lead: (await screened(port, number, lead)).reason for lead, number in LEADS.items()}
            assert said == {"L-7": "ends-in-seven", "L-17": "ends-in-seven", "L-18": "override", "L-8": "not-listed"}
        assert (await screened(port, LISTED_SEVEN, "")).reason == "internal-dnc"
        assert not (await screened(port, SEVEN, "")).allowed


@pytest.mark.usefixtures("leads")
@pytest.mark.parametrize("window", ["before", "after"])
async def test_outside_its_moments_it_blocks_nothing(site, redis_server, tmp_path, toy, monkeypatch, window):
    moment = site.now()
    monkeypatch.setattr(toy_check, *(("SINCE", moment.replace(year=2099)) if window == "before" else ("UNTIL", moment)))
    async with gate(redis_server, tmp_path) as port:
        assert (await screened(port, SEVEN, "L-7")).reason == "not-listed"
        assert (await screened(port, LISTED_SEVEN, "L-17")).reason == "override"
    assert "This lead may be called." in await (await site.person(Role.AGENT)).page("/leads/L-7")


@pytest.fixture
def as_a_program(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> Iterator[None]:
    """Set the environment of `dnc-admin`. `scrub` tunes the garbage collector for a process that ends afterwards."""
    monkeypatch.setenv("DNC_DATABASE_URL", database_url)
    monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path))
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


async def scrubbed(directory: Path) -> tuple[list[list[str]], Result]:
    """Scrub a list with `dnc-admin`; return lead, verdict and reason of each row, and how the command ended."""
    rows = [*LEADS.items(), ("", SEVEN), ("", LISTED_SEVEN), ("L-9", "+14155550227"), ("", "nonsense")]
    (directory / "list.csv").write_text("lead,number\n" + "\n".join(",".join(row) for row in rows))
    words = ["scrub", str(directory / "list.csv"), "--output", str(directory / "out.csv")]
    done = await asyncio.to_thread(CliRunner().invoke, command_line(words), words)
    assert done.exit_code == 0, done.output
    with (directory / "out.csv").open(newline="") as file:
        return [[row["lead"], row["verdict"], row["reason"]] for row in csv.DictReader(file)], done


@pytest.mark.usefixtures("toy", "leads", "as_a_program")
async def test_a_scrub_judges_each_number_by_itself_and_says_what_blocked(tmp_path: Path):
    said, done = await scrubbed(tmp_path)
    assert said == [
        ["L-7", "BLOCK", "ends-in-seven"],
        ["L-17", "BLOCK", "ends-in-seven"],
        ["L-18", "ALLOW", "override"],
        ["L-8", "ALLOW", "not-listed"],
        ["", "BLOCK", "ends-in-seven"],
        ["", "BLOCK", "internal-dnc"],
        ["L-9", "BLOCK", "ends-in-seven"],
        ["", "BLOCK", "invalid-number"],
    ]
    assert done.stderr.splitlines() == [
        "8 rows: 2 ALLOW, 6 BLOCK",
        f"  4 ends-in-seven: {toy_check.SENTENCE} No override opens it.",
        "  1 internal-dnc: The number is on the company's own Do-Not-Call list. An override can open it for a lead.",
        "  1 invalid-number: The dialled digits are not one telephone number. No override opens it.",
    ]


@pytest.mark.usefixtures("leads", "as_a_program")
async def test_without_it_the_same_scrub_lets_them_pass(tmp_path: Path):
    said, _ = await scrubbed(tmp_path)
    assert [reason for *_, reason in said[:5]] == ["not-listed", "override", "override", "not-listed", "not-listed"]


@pytest.mark.usefixtures("toy", "leads")
async def test_the_api_obeys_it_and_says_that_nothing_opens_it(site: Site):
    crm = await Program.of(site)
    answer = await crm.post("/scrub", f"{SEVEN}\n{FREE}\n{LISTED}\n".encode(), Content_Type="text/plain")
    lines = [line.partition('"verdict":')[2] for line in answer.text.splitlines()]
    assert lines == [
        '"BLOCK","reason":"ends-in-seven","detail":"","override":"","openable":false}',
        '"ALLOW","reason":"not-listed","detail":"","override":"","openable":false}',
        '"BLOCK","reason":"internal-dnc","detail":"","override":"","openable":true}',
    ]
    number, lead = (await crm.get(f"/numbers/{SEVEN}")).json, (await crm.get("/leads/L-7")).json
    for shown in (number, lead):
        assert (shown["reason"], shown["sentence"]) == ("ends-in-seven", toy_check.SENTENCE)
        assert shown["openable"] is False
    assert lead["state"] == "blocked"
    assert [one["lead"] for one in (await crm.get("/leads?state=blocked")).json["items"]] == ["L-17", "L-7"]
    assert (await crm.get("/reasons/ends-in-seven")).json == {
        "reason": "ends-in-seven", "sentence": toy_check.SENTENCE, "openable": False,
    }  # fmt: skip
    refused = await crm.place(lead="L-7")
    assert (refused.status, refused.problem) == (409, "not-openable")
    assert NOTHING_OPENS.removesuffix(".") in refused.json["detail"]
    assert [one["lead"] for one in (await crm.get("/queue")).json["items"]] == ["L-18", "L-8"]
    await crm.close()


@pytest.mark.usefixtures("toy", "leads")
async def test_the_queue_passes_over_its_leads(site: Site):
    page = await (await site.person(Role.AGENT)).page("/queue")
    assert ["L-7" in page, "L-17" in page, "/leads/L-18" in page, "/leads/L-8" in page] == [False, False, True, True]
    assert "2 blocked leads were skipped." in page


@pytest.mark.usefixtures("toy", "leads")
async def test_the_lead_page_gives_its_own_sentence_and_offers_no_override(site: Site):
    supervisor = await site.person(Role.SUPERVISOR)
    page = html.unescape(await supervisor.page("/leads/L-7"))
    assert f"<strong>This lead may not be called.</strong> {NOTHING_OPENS}" in page
    assert ">Blocked<" in page
    assert ">Do-Not-Call<" not in page
    assert "Its number is on" not in page
    assert "/leads/L-7/override" not in page
    assert ">Blocked</option>" in await supervisor.page("/leads")


@pytest.mark.usefixtures("toy", "leads")
async def test_of_a_lead_that_is_open_but_for_it_both_are_said(site: Site):
    page = html.unescape(await (await site.person(Role.SUPERVISOR)).page("/leads/L-17"))
    assert f"<strong>This lead may not be called.</strong> {NOTHING_OPENS}" in page
    assert ">Do-Not-Call<" not in page
    assert "Company's own list" in page
    assert "may be called</strong> under override" not in page


@pytest.mark.usefixtures("toy", "leads")
async def test_where_an_override_would_open_the_list_alone_it_is_offered_and_the_rest_is_said(site: Site):
    await suppress(site.records, ADMIN, SEVEN, source="test")
    supervisor = await site.person(Role.SUPERVISOR)
    page = html.unescape(await supervisor.page("/leads/L-7"))
    assert ">Do-Not-Call<" in page
    assert NOTHING_OPENS in page
    assert "/leads/L-7/override" in page
    form = html.unescape(await supervisor.page("/leads/L-7/override"))
    assert f"Even with this override, calls to this lead are blocked at the moment:</strong> {NOTHING_OPENS}" in form
    await grant(site, LeadId("L-7"))
    assert f"may not be called.</strong> {NOTHING_OPENS}" in html.unescape(await supervisor.page("/leads/L-7"))


@pytest.mark.usefixtures("toy", "leads")
async def test_the_consent_form_does_not_offer_to_open_it_and_refuses_a_post(site: Site):
    supervisor = await site.person(Role.SUPERVISOR)
    shown = await supervisor.get("/leads/L-7/override")
    posted = await supervisor.upload("/leads/L-7/override", CONSENT, "document", ("c.pdf", PDF, "application/pdf"))
    for answer in (shown, posted):
        assert answer.status == 409
        assert f"Lead L-7 is blocked: {NOTHING_OPENS.removesuffix('.')}" in html.unescape(answer.text)
        assert 'type="file"' not in answer.text
    with pytest.raises(NotOpenable, match=toy_check.SENTENCE):
        await grant(site, LeadId("L-7"))


@pytest.mark.usefixtures("toy", "leads")
async def test_the_pages_of_numbers_and_overrides_say_it(site: Site):
    admin = await site.person(Role.ADMIN)
    number = html.unescape(await admin.page(f"/lists/numbers/{SEVEN}"))
    assert NOTHING_OPENS in number
    assert ">blocked<" in number
    listed = html.unescape(await admin.page(f"/lists/numbers/{LISTED_SEVEN}"))
    assert f"The number stays blocked:</strong> {toy_check.SENTENCE}</p>" in listed
    override = html.unescape(await admin.page("/monitor/1"))
    assert NOTHING_OPENS in override
    lift = html.unescape(await admin.page("/leads/L-17/lift"))
    assert f"The number stays blocked all the same: {toy_check.SENTENCE}" in lift


@pytest.mark.usefixtures("leads")
async def test_without_it_nobody_is_offered_a_state_that_no_lead_can_have(site: Site):
    assert ">Blocked</option>" not in await (await site.person(Role.AGENT)).page("/leads")
