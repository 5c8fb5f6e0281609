"""The numbers of a registry's files, collected piece by piece, and what was wrong with the rows."""

from collections.abc import Iterator
from dataclasses import replace

from admin_web.lists.progress import Progress
from admin_web.lists.registries.gathered import Gathered, TooManyExchanges, split
from admin_web.lists.registries.rows import Piece
from admin_web.lists.registries.version_request import ARE_CHANGES, CHANGES
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import NotASheet

MOST_REPORTED = 100_000
"""Rejected rows in the report; further ones are only counted."""


class Collected:
    """The `listed` numbers and, of a file of changes, the `deleted` ones. `not_read` has sentences for people."""

    def __init__(self, kind: str, report: RejectedRows) -> None:
        self._kind, self._report = kind, report
        self.listed, self.deleted = Gathered(), Gathered()
        self.done = Progress()
        self.not_read: list[str] = []

    def take_next(self, pieces: Iterator[Piece]) -> bool:
        """Read and collect the next piece. Return whether there was one. Raises NotASheet."""
        piece = next(pieces, None)
        if piece is None:
            self._report.flush()
            return False
        if piece.deleted and self._kind != CHANGES:
            raise NotASheet(ARE_CHANGES)
        try:
            self._put(piece)
        except TooManyExchanges:
            raise NotASheet("The numbers are spread over more exchanges than exist; this is not a registry.") from None
        self._reject(piece)
        if piece.not_read:
            self.not_read.append(piece.not_read)
        return True

    def require_mostly_numbers(self) -> None:
        """Raise NotASheet if so many rows were rejected that the rest of the files need not be read."""
        if self.done.rejected > max(MOST_REPORTED, self.done.added):
            self.require_sane()

    def require_sane(self) -> None:
        """Raise NotASheet if nothing was read, or if most rows are not numbers."""
        done = self.done
        if not done.added and not done.rejected:
            raise NotASheet("The file contains no rows; the previous version stays in force.")
        if done.rejected > done.added:
            raise NotASheet(
                f"{done.rejected:,} of the first {done.rows:,} rows are not numbers; the old version stays in force."
            )

    def _put(self, piece: Piece) -> None:
        """Collect the numbers of a piece. If a number is both listed and deleted, its last row counts."""
        self.listed.listen()
        for exchanges, lines in (*piece.arrays, split(piece.listed)):
            self.listed.put(exchanges, lines)
            if self._kind == CHANGES:
                self.deleted.take_out(exchanges, lines)
        if piece.deleted:
            exchanges, lines = split(piece.deleted)
            self.deleted.put(exchanges, lines)
            self.listed.take_out(exchanges, lines)

    def _reject(self, piece: Piece) -> None:
        for row in piece.rejected[: max(0, MOST_REPORTED - self._report.count)]:
            self._report.add(row.line, row.reason, row.explanation, row.text)
        rejected = len(piece.rejected)
        self.done = replace(
            self.done, rows=self.done.rows + piece.rows, added=self.done.added + piece.rows - rejected,
            rejected=self.done.rejected + rejected, line=piece.line,
        )  # fmt: skip
