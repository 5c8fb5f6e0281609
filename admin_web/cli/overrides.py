"""`dnc-admin override grant | revoke | review | keep | list`."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from admin_web.cli.shell import actor, lead_of, number_of, run, tell
from admin_web.documents import documents_of, pieces_of
from admin_web.queries.live_overrides import every_live_override
from admin_web.services import utc_now
from admin_web.services.consents import Consent, ConsentRecord
from admin_web.services.documents import or_discarded
from admin_web.services.keeping import KeptOverride, RequestNotSeen, keep_override
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.overrides import Granted, grant_override
from admin_web.services.revocation import (
    Reviewed,
    Revoked,
    review_override,
    revoke_override,
)
from admin_web.settings import AdminSettings
from compliance.consent import ATTESTATION, Basis
from compliance.consent_rules import Tie
from compliance.refusal import Refused

overrides = typer.Typer(help="Overrides: consent that opens one lead on one number until a date.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(overrides, name="override")


@overrides.command()
def grant(  # noqa: PLR0913, PLR0917 - each argument is an option of the command
    lead: Annotated[str, typer.Option(help="The lead that may be called.")],
    basis: Annotated[Basis, typer.Option(help="The basis of the consent.")],
    consented_on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The date of the consent.")],
    document: Annotated[Path, typer.Option(help="The file of the consent document.")],
    number: Annotated[str, typer.Option(help="The number, if the lead is new.")] = "",
    basis_note: Annotated[str, typer.Option(help="A description of the consent, required for the basis other.")] = "",
    expires_at: Annotated[
        str, typer.Option(help="An end before the usual twelve months, in ISO 8601 with time zone.")
    ] = "",
    same_day_reason: Annotated[
        str, typer.Option(help="How you know that the consent is later than a request of the same day.")
    ] = "",
    tie: Annotated[Tie | None, typer.Option(help="What an existing relationship rests on, if the policy asks.")] = None,
    seller: Annotated[str, typer.Option(help="Who may call.")] = "",
    purpose: Annotated[str, typer.Option(help="What the calls are about.")] = "",
    request_shown: Annotated[str, typer.Option(help="The request for consent as the person saw it.")] = "",
    signature: Annotated[str, typer.Option(help="How the person signed.")] = "",
    attest: Annotated[bool, typer.Option("--attest", help=f"Confirm this statement: {ATTESTATION}")] = False,
) -> None:
    """Place an override: open a lead on its listed number. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()
    if not attest:
        raise Refused(f"Nothing was changed. Add --attest to confirm: {ATTESTATION}")

    async def work() -> Granted:
        async with opened_records(settings) as records:
            who, dialed = lead_of(lead), number_of(number, settings.region) if number else None
            until = _moment(expires_at)
            documents = documents_of(settings)
            kept = await documents.keep(pieces_of(document), document.name)
            consent = Consent(
                who, basis, _day(consented_on), kept, ATTESTATION, basis_note, dialed, until, same_day_reason, tie,
                ConsentRecord(seller, purpose, request_shown, signature),
            )  # fmt: skip
            async with or_discarded(records.database, documents, kept):
                return await grant_override(records, actor(), consent)

    done = run(work())
    end = f"{done.expires_at:%Y-%m-%d %H:%M} UTC"
    opens = "will open, once it is reviewed," if done.held else "opens"
    tell(f"Override {done.override_id} {opens} lead {done.lead} on {done.number} until {end}", done.standing)


@overrides.command()
def revoke(
    override_id: Annotated[int, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="The reason. It stays on record.")],
) -> None:
    """Revoke an override: end it at once. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Revoked:
        async with opened_records(settings) as records:
            return await revoke_override(records, actor(), override_id, reason=reason)

    done = run(work())
    word = "was already revoked" if done.already else "revoked"
    tell(f"Override {done.override_id} of lead {done.lead} on {done.number} {word}", done.standing)


@overrides.command()
def review(override_id: Annotated[int, typer.Argument(metavar="ID")]) -> None:
    """Record that an override and its document have been reviewed."""
    settings = AdminSettings.load()

    async def work() -> Reviewed:
        async with opened_records(settings) as records:
            return await review_override(records, actor(), override_id)

    done = run(work())
    still = ", and opens nothing until an admin confirms it" if done.held else ""
    tell(f"Override {override_id} {'was already reviewed' if done.already else 'reviewed'}{still}", done.standing)


@overrides.command()
def keep(
    override_id: Annotated[int, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="How you know that another person asked. It stays on record.")],
    request: Annotated[
        int | None,
        typer.Option(help="The last request on the number, whose caller you know. Without it, the command names it."),
    ] = None,
) -> None:
    """Keep an override although somebody on its number asked not to be called since.

    An override that the request ended opens its lead again. Exit code 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()

    async def work() -> KeptOverride:
        async with opened_records(settings) as records:
            try:
                return await keep_override(records, actor(), override_id, reason=reason, seen=request)
            except RequestNotSeen as error:
                raise Refused(f"{error} Then add --request {error.request_id}.") from None

    done = run(work())
    opens = ", and opens its lead again" if done.reopened else ""
    tell(f"Override {done.override_id} of lead {done.lead} on {done.number} is kept{opens}", done.standing)


@overrides.command("list")
def list_live() -> None:
    """List the live overrides, one per line: id, lead, number, end, who placed it."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            for row in await every_live_override(database, utc_now()):
                until = f"{row.expires_at:%Y-%m-%d %H:%M} UTC"
                typer.echo(f"{row.id}\t{row.lead_id}\t{row.number}\t{until}\t{row.placed_by}")

    run(work())


def _day(moment: datetime) -> date:
    return moment.date()


def _moment(text: str) -> datetime | None:
    """Parse a moment with its time zone; None for an empty text. Raises Refused."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"--expires-at {text}: write it like 2026-12-31T18:00:00+00:00.") from None
    if moment.tzinfo is None:
        raise Refused(f"--expires-at {text}: add the time zone, as in 2026-12-31T18:00:00+00:00.")
    return moment.astimezone(UTC)
