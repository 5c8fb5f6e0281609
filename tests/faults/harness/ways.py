"""The ways in which people and programs change lists and overrides: the API of the site, and commands."""

import asyncio
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, FormData

from compliance.consent import ATTESTATION
from tests.faults.harness.replies import Answered
from tests.support.api import PDF
from tests.support.programs import run

ASKED_ON = "2020-01-01"
"""The day of every request: before every consent, so that an override may stand on a listed number."""

API_WITHIN_S = 6.0
TRIES_S = 20.0
"""How long a program repeats a request with the same idempotency key until it has an answer."""

AGAIN_S = 0.4
COMMAND_WITHIN_S = 40.0


class Api:
    """A program that changes lists over the API, and repeats what got no answer, with the same key."""

    def __init__(self, origin: str, token: str) -> None:
        self._origin = f"{origin}/api/v1"
        self._session = ClientSession(
            headers={"Authorization": f"Bearer {token}"}, timeout=ClientTimeout(total=API_WITHIN_S)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def list(self, numbers: tuple[str, ...]) -> Answered:
        """Put one number or several on the company's own list."""
        if len(numbers) == 1:
            return await self._post("/suppress", {"number": numbers[0], "asked_on": ASKED_ON})
        return await self._post("/suppress/many", {"numbers": [*numbers], "asked_on": ASKED_ON})

    async def lift(self, number: str) -> Answered:
        """Take a number off the list."""
        return await self._post("/lift", {"number": number, "reason": "asked to be called"})

    async def grant(self, number: str, lead: str, expires: datetime) -> Answered:
        """Place an override."""
        consented = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
        fields = {
            "lead": lead, "number": number, "basis": "signed-consent", "consented_on": consented,
            "attestation": ATTESTATION, "expires_at": expires.isoformat(),
        }  # fmt: skip
        return await self._repeated("/overrides", lambda: _form(fields), {})

    async def revoke(self, override: str) -> Answered:
        """End an override."""
        return await self._post(f"/overrides/{override}/revoke", {"reason": "asked for"})

    async def _post(self, path: str, body: Mapping[str, Any]) -> Answered:
        return await self._repeated(path, None, body)

    async def _repeated(self, path: str, form: Any, body: Mapping[str, Any]) -> Answered:
        key, loop = uuid.uuid4().hex, asyncio.get_running_loop()
        until = loop.time() + TRIES_S
        while True:
            sent = {"data": form()} if form else {"json": body}
            answered = await self._once(path, key, sent)
            if answered.api_outcome != "unknown" or loop.time() >= until:
                return answered
            await asyncio.sleep(AGAIN_S)

    async def _once(self, path: str, key: str, sent: Mapping[str, Any]) -> Answered:
        try:
            async with self._session.post(self._origin + path, headers={"Idempotency-Key": key}, **sent) as answer:
                return Answered(answer.status, await answer.text())
        except (ClientError, OSError, TimeoutError) as error:
            return Answered(None, type(error).__name__)


def _form(fields: Mapping[str, str]) -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("document", PDF, filename="consent.pdf", content_type="application/pdf")
    return form


class Commands:
    """An operator's shell."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment, self._directory = environment, directory

    async def list(self, number: str) -> Answered:
        """Put a number on the company's own list."""
        return await self._run("suppress", number, "--asked-on", ASKED_ON)

    async def lift(self, number: str) -> Answered:
        """Take a number off the list."""
        return await self._run("lift", number, "--reason", "asked to be called")

    async def revoke(self, override: str) -> Answered:
        """End an override."""
        return await self._run("override", "revoke", override, "--reason", "asked for")

    async def import_file(self, numbers: tuple[str, ...]) -> Answered:
        """Import a file of numbers."""
        file = self._directory / f"{numbers[0]}.csv"
        file.write_text("number\n" + "\n".join(numbers) + "\n")
        return await self._run("import", "internal", str(file))

    async def _run(self, *words: str) -> Answered:
        return await asyncio.to_thread(self.run, *words)

    def run(self, *words: str) -> Answered:
        """Run one command of `dnc-admin`."""
        try:
            ended = run("admin_web", words, self._environment, within_s=COMMAND_WITHIN_S)
        except subprocess.TimeoutExpired:
            return Answered(None, "no end in time")
        return Answered(ended.returncode, (ended.stdout + ended.stderr).strip())
