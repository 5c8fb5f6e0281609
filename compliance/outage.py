"""One log line when an outage begins, one for each other cause, and one when it is over."""

import structlog

log = structlog.get_logger()


class Outage:
    """An outage that may come and go. `begins` and `ends` are the events in the log."""

    def __init__(self, begins: str, ends: str) -> None:
        self._begins, self._ends = begins, ends
        self._trouble = ""

    def note(self, trouble: str) -> None:
        """Note that something does not work, and why. The same cause is logged once."""
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning(self._begins, trouble=trouble)

    def end(self) -> None:
        """Note that everything works. This is logged if it is news."""
        if self._trouble:
            self._trouble = ""
            log.info(self._ends)
