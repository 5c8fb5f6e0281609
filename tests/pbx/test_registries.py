"""Registries on a real Asterisk: campaigns that skip a list, and the effect of an old or missing copy on calls."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lab.asterisk import Asterisk
from lab.line import Line, Placed
from lab.redis import RedisServer
from lab.sipp import Call
from tests.support.registries import flat
from tests.support.samples import PDF
from tests.support.stack import Stack

OWN, LISTED, FREE, UNCOVERED = "+14155550100", "+14155550101", "+14155550199", "+12125550100"
DAY_S = 86_400


def day(days_ago: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - days_ago * DAY_S))


@pytest.fixture
def stack(redis_server: RedisServer, short_path: Path, pbx: Asterisk) -> Iterator[Stack]:
    """The product with one registry: one of its area codes was imported yesterday, another never."""
    database = short_path / "dnc.sqlite3"
    settings = {"DNC_LEASE_S": "6", "DNC_DEADLINE_MS": "1000"}
    with Stack(short_path / "whole", redis_server, f"sqlite:///{database}", **settings) as stack:
        pbx.set_global("DNC_GATE", f"127.0.0.1:{stack.gate.port}")
        stack.admin("suppress", OWN)
        stack.admin(
            "registry", "add", "us-ftc", "--area-codes", "212 415", "--when-uncovered", "block", "--spared", "service"
        )
        published = short_path / "published.txt"
        published.write_text(flat([OWN, LISTED]))
        stack.admin("import", "us-ftc", str(published), "--obtained", day(1))
        yield stack


def said(placed: Placed) -> tuple[int, str, str]:
    return placed.status, placed.record["dnc_verdict"], placed.record["dnc_reason"]


def allowed(reason: str) -> tuple[int, str, str]:
    return 200, "ALLOW", reason


def blocked(reason: str) -> tuple[int, str, str]:
    return 403, "BLOCK", reason


def test_a_campaign_that_a_registry_spares_goes_out_and_every_other_does_not(stack: Stack, line: Line) -> None:
    asked = {
        Call(LISTED): blocked("us-ftc-dnc"),
        Call(LISTED, campaign="sales"): blocked("us-ftc-dnc"),
        Call(LISTED, campaign="service"): allowed("not-listed"),
        Call(LISTED, campaign="Service"): blocked("us-ftc-dnc"),
        Call(LISTED, campaign="service,"): blocked("us-ftc-dnc"),
        Call(LISTED, campaign="service sales"): blocked("us-ftc-dnc"),
        Call(LISTED, campaign="service", caller="phone"): blocked("us-ftc-dnc"),
        Call(UNCOVERED, campaign="sales"): blocked("registry-uncovered"),
        Call(UNCOVERED, campaign="service"): allowed("not-listed"),
        Call(OWN, campaign="service"): blocked("internal-dnc"),
    }
    placed = line.place(*asked)
    assert [said(one) for one in placed] == list(asked.values())
    assert sorted(line.trunk.numbers()) == [UNCOVERED, LISTED]
    stack.until_archived({one.record["dnc_decision"] for one in placed})
    with stack.sql.connect() as connection:
        rows = dict(connection.execute(text("SELECT id, campaign FROM decisions")).all())
    named = ["", "sales", "service", "Service", "", "", "", "sales", "service", "service"]
    assert [rows[one.record["dnc_decision"]] for one in placed] == named


def test_an_area_code_that_was_never_imported_is_blocked_or_passes_with_that_reason(stack: Stack, line: Line) -> None:
    calls = [Call(FREE), Call(UNCOVERED)]
    assert [said(one) for one in line.place(*calls)] == [allowed("not-listed"), blocked("registry-uncovered")]
    stack.admin("registry", "set", "us-ftc", "--when-uncovered", "pass")
    assert [said(one) for one in line.place(*calls)] == [allowed("not-listed"), allowed("registry-uncovered")]


def test_a_copy_that_is_too_old_blocks_what_it_covers_until_a_new_one_comes_and_an_override_opens_its_lead(
    stack: Stack, line: Line, short_path: Path
) -> None:
    document = short_path / "consent.pdf"
    document.write_bytes(PDF)
    published = short_path / "published.txt"
    stack.admin("import", "us-ftc", str(published), "--obtained", day(40))
    calls = [Call(FREE, "lead-1"), Call(FREE, "lead-2"), Call(LISTED, "lead-1")]
    stale = blocked("registry-stale")
    assert [said(one) for one in line.place(*calls)] == [stale, stale, blocked("us-ftc-dnc")]
    stack.admin(
        "override", "grant", "--lead", "lead-1", "--number", FREE, "--basis", "signed-consent",
        "--consented-on", "2026-01-02", "--document", str(document), "--attest",
    )  # fmt: skip
    assert [said(one) for one in line.place(*calls)] == [allowed("override"), stale, blocked("us-ftc-dnc")]
    stack.admin("registry", "set", "us-ftc", "--when-stale", "warn")
    free = allowed("not-listed")
    assert [said(one) for one in line.place(*calls)] == [free, free, blocked("us-ftc-dnc")]
    stack.admin("registry", "set", "us-ftc", "--when-stale", "block")
    stack.admin("import", "us-ftc", str(published), "--obtained", day(0), "--allow-drop")
    assert [said(one) for one in line.place(*calls)] == [free, free, blocked("us-ftc-dnc")]


def test_a_pattern_and_a_campaign_list_block_real_calls_and_911_goes_out(stack: Stack, line: Line) -> None:
    stack.admin("registry", "set", "us-ftc", "--when-uncovered", "pass")
    stack.admin("campaign-list", "add", "spring", "--campaigns", "spring-26")
    stack.admin("campaign-list", "put", "spring", FREE)
    for pattern in ("+1212", "+1911"):
        stack.admin("pattern", "add", pattern, "--reason", "a court order", "--yes")
    asked = {
        Call(FREE): allowed("not-listed"),
        Call(FREE, campaign="spring-26"): blocked("spring-dnc"),
        Call(FREE, campaign="autumn"): allowed("not-listed"),
        Call(OWN, campaign="spring-26"): blocked("internal-dnc"),
        Call(UNCOVERED): blocked("internal-pattern"),
        Call(UNCOVERED, campaign="service"): blocked("internal-pattern"),
        Call("911"): allowed("emergency"),
        Call("911", campaign="spring-26"): allowed("emergency"),
    }
    assert [said(one) for one in line.place(*asked)] == list(asked.values())
    assert sorted(line.trunk.numbers()) == [FREE, FREE, "911", "911"]
    stack.admin("pattern", "lift", "+1212", "--reason", "it ended")
    [placed] = line.place(Call(UNCOVERED))
    assert said(placed) == allowed("registry-uncovered")
