"""Jobs of the enforcement page: rebuild the projection, compare it with SQL, test the gates."""

import asyncio
import os
import sys
from contextlib import suppress

from sqlalchemy import select

from admin_web.judging.listing import lists_of_many
from admin_web.projection.rebuild_outcome import SuspiciousDrop
from admin_web.record.changes import NotInForce
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import SuppressionEntry
from admin_web.worker.jobs.run import JobFailed, Run
from compliance.numbers import E164

CANARY_S = 20.0
"""Time limit of one canary, in seconds. A canary starts a Python interpreter and makes a few calls."""

FREE = tuple(E164(f"+1415555{line:04}") for line in range(199, 99, -1))
"""Candidates for an unlisted number. They are safe, because 555-0100 to 555-0199 are reserved for fiction."""


async def rebuild(run: Run) -> str:
    """Rebuild the projection. With `allow_drop` in the particulars, lists may become much smaller."""
    projection = run.tools.projection
    try:
        built = await projection.rebuild(allow_drop=bool(run.particulars.get("allow_drop")), progress=run.show)
    except SuspiciousDrop as refused:
        raise JobFailed(f"The rebuild was refused and nothing was changed: {refused.fact}.") from None
    with suppress(NotInForce, DatabaseUnavailable):  # It is live already; the keeper sweeps again later.
        await projection.sweep()
    lists = ", ".join(f"{numbers:,} on {name}" for name, numbers in built.counts.items())
    return f"Generation {built.generation} is live after {built.seconds:.1f} s: {lists}."


async def verify(run: Run) -> str:
    """Compare SQL and Redis, number by number. Raises JobFailed with the differences."""
    drift = await run.tools.projection.verify(run.show)
    if not drift.clean:
        raise JobFailed("\n".join(drift.lines()))
    return "\n".join(drift.lines())


async def canary(run: Run) -> str:
    """Query each gate, as a PBX would, about a listed number and an unlisted one. Raises JobFailed for a wrong answer.

    This runs the gate's own `canary` command, so that AGI is implemented once and operators see the same output in a
    shell.
    """
    questions = await _questions(run)
    said = [await _ask(address, questions) for address in run.tools.settings.gate_addresses]
    if not all(right for right, _ in said):
        raise JobFailed("\n".join(words for _, words in said))
    return "\n".join(words for _, words in said)


async def _questions(run: Run) -> list[str]:
    """Return options for the command: the number that was listed last, and a number that is on no list."""
    standing = select(SuppressionEntry.number).where(SuppressionEntry.lifted_at.is_(None))
    async with run.tools.records.database.read() as session:
        listed = await session.scalar(standing.order_by(SuppressionEntry.id.desc()).limit(1))
        lists = await lists_of_many(session, FREE)
    free = next((number for number in FREE if not lists[number]), None)
    questions = (("--blocked", listed), ("--allowed", free))
    return [word for option, number in questions if number for word in (option, number)]


async def _ask(address: str, questions: list[str]) -> tuple[bool, str]:
    """Run one canary. Return whether every answer was right, and its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agi_gate", "canary", *questions,
        env={**os.environ, "DNC_AGI_BIND": address},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(CANARY_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return False, f"{address}: no answer within {CANARY_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode == 0, f"{address}: {said.decode('utf-8', 'replace').strip()}"
