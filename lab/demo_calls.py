"""Place calls through a real Asterisk, and print the dialer's outcome, the CDR and the decision record of each call.

`python -m lab.demo_calls [NUMBER[:LEAD] ...]` places the calls through the gate at `DNC_AGI_BIND`. Without arguments it
places the demo's calls: one to a blocked number, one to an allowed number, and two more to the blocked number, for a
lead with an override and for a lead without one.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord
from admin_web.settings import DATABASE_FILE, AdminSettings
from agi_gate.commands import DEMO_ALLOWED, DEMO_BLOCKED, DEMO_LEAD
from agi_gate.settings import GateSettings
from compliance.settings import SettingsError
from lab.asterisk import Asterisk
from lab.line import Line, Placed
from lab.process import NotInstalled, NotStarted
from lab.sipp import Call

DEMO = (Call(DEMO_BLOCKED), Call(DEMO_ALLOWED), Call(DEMO_BLOCKED, DEMO_LEAD), Call(DEMO_BLOCKED, "demo-1"))
COLUMNS = ("dialled", "lead", "SIP", "CDR: verdict", "reason", "number", "record: verdict", "reason", "decision")
ARCHIVED_WITHIN_S = 10.0


def place_calls(say: Callable[[str], None], line: Line, calls: Sequence[Call] = DEMO) -> list[str]:
    """Place the calls through a running PBX, and print the outcome of each.

    Return the numbers of the INVITEs that the trunk received meanwhile, in order.
    """
    before = len(line.trunk.numbers())
    placed = line.place(*calls, per_second=2)
    numbers = line.trunk.numbers()[before:]
    ids = {call.record.get("dnc_decision", "") for call in placed}
    settings = AdminSettings.load()
    # Beside the containers' PBX there is no database: it has no password for it.
    known = settings.database_url or (settings.data_dir / DATABASE_FILE).exists()
    _show(placed, asyncio.run(_archived(settings.database, ids)) if known else None)
    received = f"INVITEs for {', '.join(numbers)}, and for nothing else" if numbers else "no INVITE"
    say(f"The trunk received {received}.\n")
    return numbers


async def _archived(database_url: str, ids: set[str]) -> dict[str, DecisionRecord]:
    """Return the decision records by id. Wait at most `ARCHIVED_WITHIN_S` for the worker to archive all of them."""
    deadline = time.monotonic() + ARCHIVED_WITHIN_S
    async with Database(database_url) as database:
        while True:
            async with database.read() as session:
                rows = (await session.scalars(select(DecisionRecord).where(DecisionRecord.id.in_(ids)))).all()
            if len(rows) == len(ids) or time.monotonic() > deadline:
                return {row.id: row for row in rows}
            await asyncio.sleep(0.1)


def _show(placed: Sequence[Placed], records: dict[str, DecisionRecord] | None) -> None:
    table = Table(title="Each call as the dialer, Asterisk's CDR and the decision record saw it")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for call in placed:
        asked, row = call.outcome.call, call.record
        decision = row.get("dnc_decision", "")
        record = records.get(decision) if records is not None else None
        missing = "missing" if records is not None else "not read"
        judged = (record.verdict, record.reason, record.id) if record else (missing, "", decision)
        cdr = (row.get(f"dnc_{field}", "") for field in ("verdict", "reason", "number"))
        table.add_row(asked.dialed, asked.lead or "-", str(call.status), *cdr, *judged)
    Console(width=max(Console().width, 150)).print(table)


def main() -> None:
    """Place the calls of the command line. If that is impossible, exit with code 1 and a message."""
    calls = [Call(*word.partition(":")[::2]) for word in sys.argv[1:]]
    try:
        settings = GateSettings.load()
        host, _, port = settings.agi_bind.rpartition(":")
        pbx = Asterisk(settings.data_dir / "pbx", {"DNC_GATE": f"{socket.gethostbyname(host)}:{port}"})
        with pbx, Line(pbx, settings.data_dir) as line:
            place_calls(print, line, calls or DEMO)
    except (SettingsError, NotInstalled, NotStarted, OSError) as error:
        sys.exit(f"demo calls: {error}")


if __name__ == "__main__":
    main()
