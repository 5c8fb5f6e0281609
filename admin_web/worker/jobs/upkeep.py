"""Work on the projection that admins ask for: build it anew, compare it with SQL, ask the gate itself."""

import asyncio
import os
import sys

from sqlalchemy import select

from admin_web.judging.listing import lists_of_many
from admin_web.projection.rebuild_outcome import SuspiciousDrop
from admin_web.record.models import SuppressionEntry
from admin_web.worker.jobs.run import JobFailed, Run
from compliance.numbers import E164

CANARY_S = 20.0
"""How long one canary may take: a starting interpreter and a few calls."""

FREE = tuple(E164(f"+1415555{line:04}") for line in range(199, 99, -1))
"""Numbers that are nobody's, to be asked about as those that are on no list: 555-0100 to 0199 are kept for fiction."""


async def rebuild(run: Run) -> str:
    """Build the projection anew; `allow_drop` of the particulars takes SQL's word for a much smaller list."""
    projection = run.tools.projection
    try:
        built = await projection.rebuild(allow_drop=bool(run.particulars.get("allow_drop")), progress=run.show)
    except SuspiciousDrop as refused:
        raise JobFailed(f"Refused, and nothing was changed: {refused.fact}.") from None
    await projection.sweep()
    lists = ", ".join(f"{numbers:,} on {name}" for name, numbers in built.counts.items())
    return f"Generation {built.generation} is live after {built.seconds:.1f} s: {lists}."


async def verify(run: Run) -> str:
    """Compare SQL and Redis, number by number."""
    drift = await run.tools.projection.verify(run.show)
    if not drift.clean:
        raise JobFailed("\n".join(drift.lines()))
    return "\n".join(drift.lines())


async def canary(run: Run) -> str:
    """Ask each gate, as a PBX would, about a number that is listed and one that is not.

    It runs the gate's own command: what AGI is stands in one place, and an operator sees the same words at a shell.
    """
    questions = await _questions(run)
    said = [await _ask(address, questions) for address in run.tools.settings.gate_addresses]
    if not all(right for right, _ in said):
        raise JobFailed("\n".join(words for _, words in said))
    return "\n".join(words for _, words in said)


async def _questions(run: Run) -> list[str]:
    """Choose the number that was listed last, and one that is on no list."""
    standing = select(SuppressionEntry.number).where(SuppressionEntry.lifted_at.is_(None))
    async with run.tools.records.database.read() as session:
        listed = await session.scalar(standing.order_by(SuppressionEntry.id.desc()).limit(1))
        lists = await lists_of_many(session, FREE)
    free = next((number for number in FREE if not lists[number]), None)
    questions = (("--blocked", listed), ("--allowed", free))
    return [word for option, number in questions if number for word in (option, number)]


async def _ask(address: str, questions: list[str]) -> tuple[bool, str]:
    """Run one canary; tell whether every answer was right, and what it said."""
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
