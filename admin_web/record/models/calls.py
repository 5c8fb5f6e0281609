"""Calls: the gate's decision, the PBX's call-detail record, and the agent's wrap-up."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base, one_of
from compliance.verdict import Verdict

ALONE = "unscreened OR (decision_id = '' AND verdict <> '')"
"""The condition under which the call log shows a call-detail record as a separate line: the call left the PBX although
no decision allowed it, or the record has a verdict but names no decision.
"""

BEGUN = "decision_id <> '' AND telephone = ''"
"""The condition under which another channel may have begun a call with a decision: it came from no telephone."""


class DecisionRecord(Base):
    """What the gate did to one call attempt.

    Lead and override are not foreign keys, so a decision can be recorded even when SQL has no such lead or override.

    `agent` is the user who clicked on Call, found by the call request of the same channel, or else the person whom the
    PBX's call-detail record names. `telephone` is the telephone that this record names. The gate knows neither.
    `campaign` is the campaign that the PBX named, "" if none: a registry may exempt campaigns. `peer` is the address
    that asked the gate, "" if a gate of an earlier version decided.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        one_of("verdict", Verdict),
        Index("ix_decisions_number_at", "number", "at"),
        Index("ix_decisions_lead_at", "lead", "at"),
        Index("ix_decisions_override_at", "override", "at"),
        # An agent has tens of thousands of calls: with verdict and reason in the index, filters need not read the rows.
        Index("ix_decisions_agent_at", "agent", "at", "verdict", "reason"),
        Index(
            "ix_decisions_telephone_at",
            "telephone",
            "at",
            sqlite_where=text("telephone <> ''"),
            postgresql_where=text("telephone <> ''"),
        ),
        Index("ix_decisions_verdict_at", "verdict", "at"),
        Index("ix_decisions_verdict_reason_at", "verdict", "reason", "at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    verdict: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(64))
    override: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(String(16))
    dialed: Mapped[str] = mapped_column(String(160))
    lead: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(150), index=True)
    generation: Mapped[int]
    gate: Mapped[str] = mapped_column(String(64))
    archived_at: Mapped[datetime]
    # With a constant default in the table, PostgreSQL adds a column without rewriting millions of rows (ALTER TABLE,
    # section Notes); so does SQLite.
    agent: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    campaign: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    telephone: Mapped[str] = mapped_column(String(80), default="", server_default=text("''"))
    peer: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))


class DecisionTotal(Base):
    """The number of decisions with one verdict and reason in one quarter of an hour, which begins at `began_at`.

    In every time zone, days and hours begin with a quarter of an hour in UTC. The totals of before revision 0011 are of
    whole hours. The archive adds to them in the transaction that writes the decisions, so they always match.
    """

    __tablename__ = "decision_totals"

    began_at: Mapped[datetime] = mapped_column(primary_key=True)
    verdict: Mapped[str] = mapped_column(String(8), primary_key=True)
    reason: Mapped[str] = mapped_column(String(40), primary_key=True)
    decisions: Mapped[int]


class CallDetail(Base):
    """One call-detail record of the PBX. `decision_id` is empty for a call without a decision.

    `channel` and `linked_channel` are unique ids; `linked_channel` is the id of the call's first channel. `telephone`
    is the endpoint that called, such as `PJSIP/alice`; "" if the call came from a trunk or a Local channel. `trunk` is
    the name of the channel through which the call left the PBX, "" if it did not leave. `unscreened` means that the
    call left without a verdict that allowed it.
    """

    __tablename__ = "call_details"
    __table_args__ = (
        UniqueConstraint("channel", "linked_channel", "sequence", name="uq_call_details_record"),
        Index(
            "ix_call_details_unscreened",
            "started_at",
            sqlite_where=text("unscreened"),
            postgresql_where=text("unscreened"),
        ),
        Index(
            "ix_call_details_alone",
            "started_at",
            sqlite_where=text(ALONE),
            postgresql_where=text(ALONE),
        ),
        Index(
            "ix_call_details_linked_channel",
            "linked_channel",
            sqlite_where=text("trunk <> ''"),
            postgresql_where=text("trunk <> ''"),
        ),
        Index(
            "ix_call_details_begun",
            "linked_channel",
            sqlite_where=text(BEGUN),
            postgresql_where=text(BEGUN),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(150), index=True)
    linked_channel: Mapped[str] = mapped_column(String(150), default="")
    sequence: Mapped[int] = mapped_column(default=0)
    decision_id: Mapped[str] = mapped_column(String(40), index=True, default="")
    source: Mapped[str] = mapped_column(String(80))
    destination: Mapped[str] = mapped_column(String(80))
    trunk: Mapped[str] = mapped_column(String(80), default="", server_default=text("''"))
    verdict: Mapped[str] = mapped_column(String(8), default="")
    reason: Mapped[str] = mapped_column(String(40), default="")
    disposition: Mapped[str] = mapped_column(String(32))
    lead: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(64), default="")
    telephone: Mapped[str] = mapped_column(String(80), default="", server_default=text("''"))
    unscreened: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime] = mapped_column(index=True)
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    seconds_billed: Mapped[int] = mapped_column(default=0)


class CallRequest(Base):
    """One click on Call: who called which lead through the PBX. `channel` is the unique id of the call's channel."""

    __tablename__ = "call_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(150), unique=True)
    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id"), index=True)
    number: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime] = mapped_column(index=True)
    asked_by: Mapped[str] = mapped_column(String(64), index=True)
    failure: Mapped[str] = mapped_column(Text, default="")


class Telephone(Base):
    """The person whose telephone an endpoint of the PBX is, from `since` (inclusive) until `until` (exclusive).

    `until` is None for the present assignment. `channel` is the endpoint, such as `PJSIP/alice`. At most one row of a
    channel has no `until`. Nothing else in a row is ever changed, so that earlier calls keep their caller.
    """

    __tablename__ = "telephones"
    __table_args__ = (
        Index("ix_telephones_channel_id", "channel", "id"),
        Index(
            "uq_telephones_standing",
            "channel",
            unique=True,
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(80))
    person: Mapped[str] = mapped_column(String(64), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str] = mapped_column(String(64))
    ended_by: Mapped[str | None] = mapped_column(String(64))


class CdrFile(Base):
    """How far a CDR file of the PBX has been read: a byte offset in the file with this inode.

    `head` is the SHA-256 (hex) of the first bytes that were read. A file whose first bytes differ is another file, even
    when its inode is the same. `lost_at` is when the file that was being read could last not be found.
    """

    __tablename__ = "cdr_files"

    path: Mapped[str] = mapped_column(String(500), primary_key=True)
    inode: Mapped[int]
    position: Mapped[int]
    head: Mapped[str] = mapped_column(String(64))
    unreadable: Mapped[int] = mapped_column(default=0)
    read_at: Mapped[datetime]
    lost_at: Mapped[datetime | None]


class Disposition(Base):
    """How an agent wrapped up a call."""

    __tablename__ = "dispositions"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id"), index=True)
    decision_id: Mapped[str] = mapped_column(String(40), default="")
    outcome: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(Text, default="")
    wrapped_up_at: Mapped[datetime]
    wrapped_up_by: Mapped[str] = mapped_column(String(64))
