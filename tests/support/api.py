"""A client of a real site's API, with a token of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

from aiohttp import ClientSession, FormData

from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor
from compliance.consent import ATTESTATION
from tests.support.site import Site

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
ASKED = {"asked_on": "2020-01-01"}
"""The day of a request not to be called that is older than CONSENT."""

CONSENT = {
    "lead": "L-1",
    "basis": "signed-consent",
    "consented_on": "2026-02-27",
    "attestation": ATTESTATION,
}


@dataclass(frozen=True)
class Answered:
    """One response of the API."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> str:
        """The slug of the problem; fails when the response is not a problem."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.text
        said = self.json
        assert said["status"] == self.status
        assert said["detail"].endswith("."), said
        return said["type"].removeprefix("urn:dnc-gate:problem:")


class Program:
    """Sends requests with a bearer token."""

    def __init__(self, origin: str, token: str) -> None:
        self.origin, self.token = origin, token
        self.session = ClientSession(headers={"Authorization": f"Bearer {token}"} if token else {})

    @classmethod
    async def of(cls, site: Site, *scopes: Scope, name: str = "crm") -> Self:
        token = await make_token(site.database, Actor("admin"), name, scopes or tuple(Scope))
        return cls(str(site._server.make_url("/api/v1")), token)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        if isinstance(sent, bytes):
            sent = BytesIO(sent)  # aiohttp warns of large bytes
        if sent is not None and not isinstance(sent, FormData):
            headers = {"Content-Type": "application/json", **headers}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, self.origin + path, data=sent, headers=named) as answer:
            return Answered(answer.status, answer.headers, await answer.text())

    async def get(self, path: str) -> Answered:
        return await self.ask("GET", path)

    async def post(self, path: str, body: Any, **headers: str) -> Answered:
        return await self.ask("POST", path, body, **headers)

    async def place(self, content: bytes = PDF, name: str = "consent.pdf", key: str = "", **fields: str) -> Answered:
        """Place an override. Empty fields are not sent."""
        form = FormData(default_to_multipart=True)
        for field, value in {**CONSENT, **fields}.items():
            if value:
                form.add_field(field, value)
        if name:
            form.add_field("document", BytesIO(content), filename=name, content_type="application/pdf")
        return await self.ask("POST", "/overrides", form, **({"Idempotency_Key": key} if key else {}))

    async def close(self) -> None:
        await self.session.close()
