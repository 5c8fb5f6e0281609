"""How the database finds the rows of statements, as its query planner says."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event, text

from admin_web.record.database import Database


async def statements_of(database: Database, work: Callable[[], Awaitable[object]]) -> list[tuple[str, Any]]:
    """Return the statements that `work` executes, each with its parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, given: Any, *___: object) -> None:
        asked.append((statement, given))

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await work()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return asked


async def plans_of(database: Database, work: Callable[[], Awaitable[object]]) -> list[str]:
    """Return the plan of each query that `work` executes, as text.

    PostgreSQL reads a small table as a whole whatever its indexes are, so it is told not to.
    """
    asked = await statements_of(database, work)
    async with database.read() as session:
        if not database.on_sqlite:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
        connection = await session.connection()
        return [
            "\n".join(str(step) for step in await connection.exec_driver_sql(explain + statement, given))
            for statement, given in asked
            if statement.startswith("SELECT")
        ]


def by_index(plan: str, index: str) -> bool:
    """Return whether `plan` finds its rows by `index`.

    On PostgreSQL any index but the primary key will do: on a small table it chooses among them by statistics that it
    takes at a moment of its own.
    """
    return index in plan or ("Index Scan" in plan and "Seq Scan" not in plan and "_pkey" not in plan)
