"""`dnc-admin rebuild`, `dnc-admin verify` and `dnc-admin worker`."""

import asyncio
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import structlog
import typer

from admin_web.cli.phases import PhaseBars
from admin_web.cli.shell import NOT_IN_FORCE, actor, give_up, run
from admin_web.projection.drift import Drift
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import Built, NotRebuilt
from admin_web.services import Database, DatabaseUnavailable, NotInForce, SteadyClock
from admin_web.services.opening import opened_database
from admin_web.services.recovery import discard_foreign, require_marks
from admin_web.settings import AdminSettings
from admin_web.worker.observer import observing
from admin_web.worker.worker import Worker
from compliance.log import log_to_stderr
from compliance.private_files import open_to_others
from compliance.refusal import Refused

DRIFTED = 1

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (rebuild, verify, worker):
        app.command()(command)


def rebuild(
    allow_drop: Annotated[
        bool,
        typer.Option("--allow-drop", help="Rebuild even if a list becomes much smaller than before."),
    ] = False,
    discard: Annotated[
        list[str] | None,
        typer.Option(
            "--discard",
            metavar="MARK",
            help="Throw away what Redis holds from another database, instead of recovering it. MARK is the mark of its "
            "last write, as the message about it says; in a cluster, repeat the option for each shard.",
        ),
    ] = None,
) -> None:
    """Build a new copy in Redis beside the live one, then switch to it. Calls continue meanwhile."""

    async def work() -> Built:
        async with _opened(AdminSettings.load()) as projection:
            discarded = await _discard(projection, discard) if discard else ()
            with PhaseBars() as bars:
                built = await projection.rebuild(allow_drop=allow_drop, discarded=discarded, progress=bars.update)
            with suppress(NotInForce, DatabaseUnavailable):  # It is live already; the worker sweeps again later.
                await projection.sweep()
            return built

    try:
        built = run(work())
    except NotRebuilt as error:
        give_up(f"not rebuilt: {error}")
    lists = ", ".join(f"{numbers:,} on {name}" for name, numbers in built.counts.items())
    typer.echo(f"Generation {built.generation} is live after {built.seconds:.1f} s: {lists}.")


async def _discard(projection: Projection, marks: Sequence[str]) -> Collection[int | None]:
    """Let the rebuild throw away what each Redis of another database holds. Raises Refused if there is none.

    Raises WrongMark, and records nothing, unless all their marks are given.

    Returns the lowest slots of these shards; None stands for a single Redis.
    """
    shards = await projection.shards()
    await require_marks([one.sides for one in shards], marks)
    discarded = [one.first_slot for one in shards if await discard_foreign(one.sides, actor(), marks)]
    if not discarded:
        raise Refused("Redis was built from this database, so there is nothing to throw away. Nothing was changed.")
    return discarded


def verify() -> None:
    """Compare Redis with SQL, number by number.

    Exit code 1: they differ, or the gate does not trust Redis; 3: some changes are recorded, not yet in force.
    """

    async def work() -> Drift:
        async with _opened(AdminSettings.load()) as projection:
            with PhaseBars() as bars:
                return await projection.verify(bars.update)

    drift = run(work())
    for line in drift.lines():
        typer.echo(line)
    if not drift.clean:
        raise typer.Exit(DRIFTED)
    if drift.pending or drift.behind:
        raise typer.Exit(NOT_IN_FORCE)


def worker() -> None:
    """Run the worker until SIGTERM: apply changes, renew the lease, rebuild lost data, archive decisions, run jobs."""
    settings = AdminSettings.load()
    log_to_stderr(settings.log_level, settings.secrets)
    for trouble in open_to_others(settings.private):  # Without the worker, calls stop. So it runs all the same.
        log.error("files are not private", trouble=trouble)

    async def work() -> None:
        clock = SteadyClock()
        async with (
            Database(settings.database) as database,
            Projection(database, settings, now=clock.now) as projection,
        ):
            worker = Worker(database, projection, settings, clock)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, worker.stop)
            async with observing(settings, worker.loops, worker.metrics):
                await worker.run()

    run(work())


@asynccontextmanager
async def _opened(settings: AdminSettings) -> AsyncIterator[Projection]:
    log_to_stderr("ERROR", settings.secrets)  # The command prints its result and errors itself.
    async with opened_database(settings) as database, Projection(database, settings) as projection:
        yield projection
