"""Undo of an import as a background job."""

from admin_web.services.undoing import one_import, undo_import
from admin_web.worker.jobs.run import Run
from compliance.refusal import as_sentence


async def take_back(run: Run) -> str:
    """Lift the entries that an import made. Return the sentence for the job's page.

    If the worker is killed, the next one continues: entries that are lifted already are passed over.
    """
    import_id, reason = int(run.particulars["import"]), str(run.particulars["reason"])
    found = await one_import(run.tools.records.database, import_id)
    total = found.standing - found.requested

    def show(lifted: int) -> None:
        run.show("entries lifted", min(lifted, total), total, lifted=lifted)

    done = await undo_import(run.tools.records, run.actor, import_id, reason=reason, on_progress=show)
    return as_sentence(f"{done}; {done.standing.shown}")
