"""`dnc-admin registry`: lists that authorities publish, and the terms on which they apply."""

from dataclasses import replace
from typing import Annotated

import typer

from admin_web.cli.shell import actor, run, say_error, tell
from admin_web.queries.registries import RegistryStanding, all_standings
from admin_web.services import Standing, utc_now
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.registries import (
    EditedTerms,
    UnknownRegistry,
    add_registry,
    set_terms,
    terms_of,
    terms_preset,
)
from admin_web.settings import AdminSettings
from compliance.separated import words
from compliance.wording import counted

registries = typer.Typer(
    help="Registries: lists that authorities publish, and the terms on which they apply.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="us-ftc, us-<state>, ca-dncl, uk-tps, uk-ctps, or your own.")]
Account = Annotated[str | None, typer.Option(help="The owner of the copy, such as the FTC's SAN.")]
AreaCodes = Annotated[str | None, typer.Option(help="Area codes that it should cover. Empty means the whole country.")]
ByAreaCode = Annotated[
    bool | None,
    typer.Option("--by-area-code/--whole", help="A copy covers only the area codes in its file, or everything."),
]
FreshDays = Annotated[int | None, typer.Option(help="Days for which a copy stays fresh. 0 means for ever.")]
WhenStale = Annotated[str | None, typer.Option(help="What to do when the copy is older: warn or block.")]
WhenUncovered = Annotated[
    str | None, typer.Option(help="What to do with calls to numbers that it does not cover: pass or block.")
]
Spared = Annotated[str | None, typer.Option(help="Campaigns to which it does not apply.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(registries, name="registry")


@registries.command("add")
def add(  # noqa: PLR0913, PLR0917 - one parameter for each option
    name: Name,
    country: Annotated[
        str, typer.Option(help="The country of its numbers, such as US. Known for predefined registries.")
    ] = "",
    account: Account = None,
    area_codes: AreaCodes = None,
    by_area_code: ByAreaCode = None,
    fresh_days: FreshDays = None,
    when_stale: WhenStale = None,
    when_uncovered: WhenUncovered = None,
    spared: Spared = None,
) -> None:
    """Add a registry; `dnc-admin import` then loads its numbers. Exit code 3: recorded, not yet in force."""
    terms = _changed(
        terms_preset(name), account, area_codes, by_area_code, fresh_days, when_stale, when_uncovered, spared
    )
    settings = AdminSettings.load()

    async def work() -> Standing:
        async with opened_records(settings) as records:
            return await add_registry(records, actor(), name, country, terms)

    tell(f"{name} added", run(work()))


@registries.command("set")
def change(
    name: Name,
    account: Account = None,
    area_codes: AreaCodes = None,
    by_area_code: ByAreaCode = None,
    fresh_days: FreshDays = None,
    when_stale: WhenStale = None,
    when_uncovered: WhenUncovered = None,
    spared: Spared = None,
) -> None:
    """Change the terms of a registry; omitted options stay. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Standing:
        async with opened_records(settings) as records:
            found = {one.name: one for one in await all_standings(records.database, utc_now())}.get(name)
            if found is None:
                raise UnknownRegistry(f"There is no registry {name}; `dnc-admin registry list` shows all.")
            now = terms_of(found.registry)
            terms = _changed(now, account, area_codes, by_area_code, fresh_days, when_stale, when_uncovered, spared)
            return await set_terms(records, actor(), name, terms)

    tell(f"terms of {name} set", run(work()))


@registries.command("list")
def show() -> None:
    """List the registries: version in force, days left, terms. Warnings go to standard error."""
    settings = AdminSettings.load()

    async def work() -> list[RegistryStanding]:
        async with opened_database(settings) as database:
            return await all_standings(database, utc_now())

    for one in run(work()):
        typer.echo(_line(one))
        for warning in filter(None, (one.warning, one.gap)):
            say_error(warning)


def _line(one: RegistryStanding) -> str:
    registry, version = one.registry, one.version
    held = (
        f"version {version.id} of {version.obtained_at:%Y-%m-%d}, {counted(version.numbers, 'number')}"
        if version
        else "-"
    )
    terms = f"when stale {registry.when_stale}, when uncovered {registry.when_uncovered}"
    spared = f", campaigns spared {' '.join(registry.spared)}" if registry.spared else ""
    account = f", account {registry.owner_account}" if registry.owner_account else ""
    return f"{one.name:<12} {registry.country}  {held}; {one.freshness}; {terms}{spared}{account}"


def _changed(
    terms: EditedTerms,
    account: str | None,
    area_codes: str | None,
    by_area_code: bool | None,
    fresh_days: int | None,
    when_stale: str | None,
    when_uncovered: str | None,
    spared: str | None,
) -> EditedTerms:
    said = {
        "owner_account": account,
        "area_codes": _words(area_codes),
        "by_area_code": by_area_code,
        "fresh_days": fresh_days,
        "when_stale": when_stale,
        "when_uncovered": when_uncovered,
        "spared": _words(spared),
    }
    return replace(terms, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else words(text)
