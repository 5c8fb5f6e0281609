"""The API answers requests that schemathesis generates from its OpenAPI description as that description says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor
from lab.redis import RedisServer
from tests.browser.running import Running
from tests.support.samples import PDF

CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""
"""A well-formed request can still be refused: for an invalid number, or another statement than the attestation."""

EXAMPLES = {False: 10, True: 25}
"""Random requests for each operation, besides those that test each limit of each value; more with `--long`."""


@pytest.fixture
def product(redis_server: RedisServer, short_path: Path, tmp_path: Path) -> Iterator[Running]:
    """The product with one lead, override and call on record."""
    with Running(short_path / "whole", redis_server, f"sqlite:///{short_path / 'dnc.sqlite3'}") as product:
        document = tmp_path / "consent.pdf"
        document.write_bytes(PDF)
        lead = product.lead(listed=True)
        product.grant(lead, document)
        product.judged(lead.number, lead.id)
        yield product


def test_schemathesis_finds_no_answer_that_the_description_does_not_hold(product: Running, tmp_path: Path, long: bool):
    token = product.do(lambda records: make_token(records.database, Actor("tests"), "schemathesis", list(Scope)))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    ended = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run",
            f"{product.url}/api/v1/openapi.json",
            "--header", f"Authorization: Bearer {token}",
            "--max-examples", str(EXAMPLES[long]), "--seed", "1", "--generation-database", "none",
            "--request-timeout", "30", "--suppress-health-check", "all",
        ],
        cwd=tmp_path, env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert not [line for line in product.site_log() if line.get("event") == "failed"]
