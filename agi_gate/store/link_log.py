"""The log lines of one link: its Redis is lost, or connected again. The same trouble is logged once."""

from agi_gate.store.notices import Notices


class LinkLog:
    """The lines of one link, written through the `notices` of the process."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._has_looked, self._said = False, ""

    def looked(self, **fields: object) -> None:
        """Note that Redis has returned its state. Before that, a connection is of no use."""
        self._has_looked, self._said = True, ""
        self._notices.note(self, "info", "redis connected", **fields)

    def lost(self, trouble: str, **fields: object) -> None:
        """Note that there is no connection, and why."""
        if trouble == self._said:
            return
        self._said = trouble
        event = "redis lost" if self._has_looked else "waiting for redis"
        self._notices.note(self, "warning", event, trouble=trouble, **fields)
