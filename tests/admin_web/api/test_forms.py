"""Requests not to be called, sent as forms by systems that can send nothing else."""

from collections.abc import AsyncIterator

import pytest

from admin_web.api import body
from admin_web.api.operations import OPERATIONS
from admin_web.people.tokens import Scope
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.services.leads import LeadGiven, put_leads
from compliance.numbers import E164, LeadId
from tests.support.api import Program
from tests.support.records import ADMIN
from tests.support.site import Site

FORM = {"Content_Type": "application/x-www-form-urlencoded"}
NUMBER, BRITISH = "+14155550100", "+442079460000"


@pytest.fixture
async def crm(site: Site) -> AsyncIterator[Program]:
    program = await Program.of(site, Scope.SUPPRESS, Scope.READ)
    yield program
    await program.session.close()


@pytest.mark.parametrize(
    ("form", "number"),
    [
        (b"number=%2B14155550100", NUMBER),
        (b"number=+14155550100", NUMBER),
        (b"number=+442079460000", BRITISH),
        (b"number=%2B44+20+7946+0000", BRITISH),
        (b"number=+44+20+7946+0000", BRITISH),
        (b"number=(415)%20555-0100", NUMBER),
        (b"number=4155550100&note=&lead=&source=", NUMBER),
        (b"note=a%26b%3Dc&number=4155550100", NUMBER),
    ],
)
async def test_a_form_lists_the_number_that_it_names(crm: Program, form: bytes, number: str):
    answer = await crm.post("/suppress", form, **FORM)
    assert (answer.status, answer.json["number"], answer.json["added"]) == (200, number, True)


async def test_form_and_json_are_the_same_request(crm: Program):
    sent = b"number=4155550100&asked_on=2026-01-02&source=ivr&note=J%C3%B6rg"
    first = await crm.post("/suppress", sent, Idempotency_Key="k", **FORM)
    same = {"number": "4155550100", "asked_on": "2026-01-02", "source": "ivr", "note": "Jörg"}
    again = await crm.post("/suppress", same, Idempotency_Key="k")
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_many_numbers_are_many_fields_and_a_bad_one_holds_up_nothing(crm: Program):
    answer = await crm.post("/suppress/many", b"numbers=+14155550100&numbers=x&numbers=+442079460000", **FORM)
    assert (answer.json["added"], [one["at"] for one in answer.json["rejected"]]) == (2, [1])
    one = await crm.post("/suppress/many", b"numbers=%2B14155550101", **FORM)
    assert one.json["added"] == 1
    empty = await crm.post("/suppress/many", b"numbers=&numbers=%2B14155550102", **FORM)
    assert (empty.json["added"], [one["at"] for one in empty.json["rejected"]]) == (1, [0])


async def test_a_form_names_one_or_several_numbers_of_a_lead(site: Site, crm: Program):
    numbers = tuple(LabelledNumber(E164(f"+1415555010{line}"), "") for line in range(3))
    await put_leads(site.records, ADMIN, [LeadGiven(LeadId("L-1"), E164(NUMBER), "Lead 1", numbers)])
    one = await crm.post("/leads/L-1/block", b"numbers=%2B14155550101", **FORM)
    assert one.json["numbers"] == ["+14155550101"]
    two = await crm.post("/leads/L-1/block", b"numbers=%2B14155550100&numbers=%2B14155550102&note=", **FORM)
    assert two.json["numbers"] == ["+14155550100", "+14155550102"]


async def test_a_lead_is_blocked_by_an_empty_form(site: Site, crm: Program):
    await put_leads(site.records, ADMIN, [LeadGiven(LeadId("L-1"), E164(NUMBER), "Lead 1")])
    for form in (b"", b"lead=L-1"):
        answer = await crm.post("/leads/L-1/block", form, **FORM)
        assert answer.status == (200 if not form else 400)


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"number",
        b"number=",
        b"number=4155550100&number=4155550101",
        b"number=4155550100&other=1",
        b"number=4155550100&asked_on=yesterday",
        b"number=%FF",
        b"number=\xff",
        b"number=4155550100&note=" + b"x" * 5000,
        b"&".join([b"number=1"] * 3000),
    ],
)
async def test_the_rules_for_a_form_are_those_for_json(crm: Program, form: bytes):
    answer = await crm.post("/suppress", form, **FORM)
    assert (answer.status, answer.problem) == (400, "bad-request")


@pytest.mark.parametrize(
    ("form", "status"), [(b"number=911", 422), (b"number=x", 422), (b"number=4155550100&lead=L-9", 404)]
)
async def test_what_is_refused_as_json_is_refused_as_a_form(crm: Program, form: bytes, status: int):
    assert (await crm.post("/suppress", form, **FORM)).status == status


async def test_a_form_has_the_bounds_of_json(crm: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body, "MOST_BYTES", 100)
    answer = await crm.post("/suppress", b"number=4155550100&note=" + b"x" * 100, **FORM)
    assert answer.problem == "too-large"


async def test_a_form_needs_the_same_token(site: Site):
    reader = await Program.of(site, Scope.READ, name="reader")
    for program, status in ((reader, 403), (Program(reader.origin, ""), 401)):
        assert (await program.post("/suppress", b"number=4155550100", **FORM)).status == status
        await program.session.close()


async def test_only_requests_not_to_be_called_may_be_forms(crm: Program):
    assert {operation.name for operation in OPERATIONS if operation.form} == {"suppress", "suppress-many", "block-lead"}
    answer = await crm.post("/suppress", b"number=4155550100", Content_Type="text/plain")
    assert (answer.status, "x-www-form-urlencoded" in answer.text) == (415, True)


async def test_the_description_names_both_media_types(crm: Program):
    paths = (await crm.get("/openapi.json")).json["paths"]
    content = paths["/suppress"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}
    assert set(paths["/lift"]["post"]["requestBody"]["content"]) == {"application/json"}
