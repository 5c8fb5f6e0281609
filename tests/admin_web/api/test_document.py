"""docs/api.md: every operation has an example, and every example works and gets the answer shown there."""

import asyncio
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from admin_web.api.operations import OPERATIONS, STREAMS
from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor, utc_now
from admin_web.record.models import Override
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.suppression import suppress
from admin_web.webhooks.events import Event
from admin_web.webhooks.signature import new_secret, signed_headers
from admin_web.worker.decision_rows import put, row_of
from compliance.numbers import E164, LeadId
from compliance.redis_records import decision_fields
from compliance.verdict import Decision, block, listed_on
from tests.support.consent import grant
from tests.support.samples import PDF
from tests.support.site import Site

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(
    r"^### ([a-z-]+)\n(.*?)^```sh\n(.*?)^```\n```json\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL
)
CHANGES = {
    "added_at", "allowed", "asked_on", "at", "channel", "claimed_until", "consented_on", "listed_at",
    "document_sha256", "document_size", "entry", "expires_at", "next", "placed_at", "placed_from", "wrap_up",
}  # fmt: skip
"""Values that differ from run to run, or from database to database."""


def test_each_operation_has_an_example_that_names_its_scope():
    scopes = {operation.name: operation.scope for operation in (*OPERATIONS, *STREAMS)}
    assert {name for name, *_ in EXAMPLES} == scopes.keys()
    for name, about, *_ in EXAMPLES:
        assert about.strip().startswith(f"Scope `{scopes[name]}`."), name


@pytest.mark.exhaustive
async def test_each_example_answers_what_stands_beside_it(site: Site, tmp_path: Path):
    await a_call_was_blocked(site)
    other = await somebody_elses_override(site)
    (tmp_path / "consent.pdf").write_bytes(PDF)
    token = await make_token(site.database, Actor("admin"), "crm", list(Scope))
    environment = {**os.environ, "SITE": str(site._server.make_url("")).rstrip("/"), "TOKEN": token}
    for name, _, command, answer in EXAMPLES:
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", command,
            cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(shell.communicate(), 30)
        assert shell.returncode == 0, (name, said)
        assert read(name, said.decode()) == read(name, answer), name
    async with site.database.read() as session:
        assert (await session.get_one(Override, other)).revoked_at is None


def test_no_example_names_an_id_that_a_database_gives():
    for name, _, command, _ in EXAMPLES:
        assert not re.search(r"/(overrides|decisions)/[0-9a-f]", command), name
        assert not re.search(r"/leads/(?!example-)", command), name


async def somebody_elses_override(site: Site) -> int:
    """Place an override on another lead, which takes the first id, and return the id."""
    lead = LeadGiven(LeadId("somebody-else"), E164("+14155550177"))
    await put_leads(site.records, Actor("admin"), [lead])
    await suppress(site.records, Actor("admin"), lead.number, source="import")
    return (await grant(site, lead.id)).override_id


def read(name: str, text: str) -> Any:
    """Return an answer without the values that differ from run to run; each line of it, if it is a stream."""
    lines = text.strip().splitlines() if name == "scrub" else [text]
    return [without_changes(json.loads(line)) for line in lines]


def without_changes(said: Any) -> Any:
    if isinstance(said, list):
        return [without_changes(one) for one in said]
    if isinstance(said, dict):
        return {
            key: bool(value) if key in CHANGES or _is_id(key, value) else without_changes(value)
            for key, value in said.items()
        }
    return said


def _is_id(key: str, value: Any) -> bool:
    return key == "override" and isinstance(value, int)


async def a_call_was_blocked(site: Site) -> None:
    decision = Decision(
        id="01a20a789220-cf157d42-00000004", at=utc_now() - timedelta(minutes=1), ruling=block(listed_on("internal")),
        dialed="4155550100", number="+14155550100", lead="example-4711", channel="pbx-1732619294.17", generation=1,
        gate="gate-1", peer="10.8.0.2",
    )  # fmt: skip
    fields = {name.encode(): value.encode() for name, value in decision_fields(decision).items()}
    async with site.database.write() as session:
        await put(session, [row_of(fields, utc_now())])


def test_the_receiver_of_the_document_takes_what_is_signed_and_nothing_else():
    (code,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    there: dict[str, Any] = {}
    exec(code, there)
    secret, body = new_secret(), b'{"type": "revoke"}'
    headers = signed_headers(secret, "evt-1", body, utc_now())
    assert there["is_genuine"](secret, headers, body)
    assert not there["is_genuine"](secret, headers, body + b" ")
    assert not there["is_genuine"](new_secret(), headers, body)
    old = signed_headers(secret, "evt-1", body, utc_now() - timedelta(minutes=6))
    assert not there["is_genuine"](secret, old, body)


@pytest.mark.parametrize("event", Event)
def test_each_event_of_webhooks_is_named(event: Event):
    assert f"`{event}`" in DOCUMENT.partition("## Webhooks")[2]
