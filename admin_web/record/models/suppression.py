"""Leads, suppression entries, and the registries that authorities publish."""

from datetime import UTC, date, datetime

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    and_,
    case,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base
from compliance.terms import BLOCK, PASS

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""`last_called_at` of a lead that was never called. It is a moment, because the two databases sort NULL differently. So
the queue's index puts such leads first on both.
"""

FOLDED = String(400).with_variant(String(400, collation="C"), "postgresql")
"""A folded name. Both databases sort folded names by code point, so that all names with one prefix are one range of the
index.
"""


class Lead(Base):
    """One person record of the CRM, under the CRM's id. Several leads may share a number.

    `number` is the first number of the lead, with its label. `LeadNumber` has the others.

    Leads with `queued` are in the dial queue; the lead called longest ago comes first. Until `claimed_until`, a lead is
    offered to nobody but `claimed_by`, who claimed it. Searches compare `name_folded`.
    """

    __tablename__ = "leads"
    __table_args__ = (
        Index("ix_leads_name_folded_id", "name_folded", "id"),
        Index("ix_leads_queue", "queued", "last_called_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    name_folded: Mapped[str] = mapped_column(FOLDED, default="")
    number: Mapped[str] = mapped_column(String(16), index=True)
    number_label: Mapped[str] = mapped_column(String(16), default="", server_default=text("''"))
    queued: Mapped[bool] = mapped_column(default=True)
    last_called_at: Mapped[datetime] = mapped_column(default=NEVER)
    claimed_until: Mapped[datetime | None]
    claimed_by: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None] = mapped_column(String(64))


class LeadNumber(Base):
    """A further number of a lead, beside `Lead.number`. `position` counts from 1; the row of the lead guards them."""

    __tablename__ = "lead_numbers"

    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(16), primary_key=True, index=True)
    label: Mapped[str] = mapped_column(String(16), default="")
    position: Mapped[int]


ON_CAMPAIGN_LISTS = "list_name <> 'internal' AND lifted_at IS NULL"
"""The condition for the current entries of campaign lists, which may be few beside millions on the company's own list.
"""


def _of_lifted(name: str, *columns: str) -> Index:
    """Return an index of the lifted entries. They are few, so the index is small."""
    lifted = text("lifted_at IS NOT NULL")
    return Index(name, *columns, sqlite_where=lifted, postgresql_where=lifted)


def _without_imports(name: str, *columns: str) -> Index:
    """Return an index without the current entries of imports.

    An import may make millions of entries with one source and one person. Queries find them by the range of ids of the
    import's row, so that each of them needs less space on disk.
    """
    others = text("import_id IS NULL OR lifted_at IS NOT NULL")
    return Index(name, *columns, sqlite_where=others, postgresql_where=others)


class SuppressionEntry(Base):
    """One number on one of the company's own lists.

    Entries are lifted, not deleted. At most one entry of a number on a list is not lifted. `import_id` is the import
    that made the entry, unless it was listed again since. The note of such an entry is empty, because the import's row
    has it.

    An entry with `ends_at` ends by itself: the worker lifts it then. Until it is lifted, it blocks. `extended_at` is
    when its end was removed or moved to a later moment.
    """

    __tablename__ = "suppression_entries"
    __table_args__ = (
        Index(
            "uq_suppression_entries_standing", "number", "list_name", unique=True,
            sqlite_where=text("lifted_at IS NULL"), postgresql_where=text("lifted_at IS NULL"),
        ),
        _of_lifted("ix_suppression_entries_lifted", "id"),
        _of_lifted("ix_suppression_entries_lifted_number", "number", "id"),
        Index(
            "ix_suppression_entries_campaign_lists", "list_name", "id",
            sqlite_where=text(ON_CAMPAIGN_LISTS), postgresql_where=text(ON_CAMPAIGN_LISTS),
        ),
        _without_imports("ix_suppression_entries_source_id", "source", "id"),
        _without_imports("ix_suppression_entries_added_by_id", "added_by", "id"),
        _without_imports("ix_suppression_entries_added_by_source_id", "added_by", "source", "id"),
        Index(
            "ix_suppression_entries_ending", "ends_at",
            sqlite_where=text("ends_at IS NOT NULL AND lifted_at IS NULL"),
            postgresql_where=text("ends_at IS NOT NULL AND lifted_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    list_name: Mapped[str] = mapped_column(String(32))
    number: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(32))
    lead_id: Mapped[str | None] = mapped_column(ForeignKey("leads.id"))
    note: Mapped[str] = mapped_column(Text, default="")
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(String(64))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(String(64))
    lift_reason: Mapped[str | None] = mapped_column(Text)
    # No foreign key: SQLite cannot add one to a table that exists (lang_altertable.html, section 2).
    import_id: Mapped[int | None]
    ends_at: Mapped[datetime | None]
    extended_at: Mapped[datetime | None]
    extended_by: Mapped[str | None] = mapped_column(String(64))

    @classmethod
    def full_note(cls) -> ColumnElement[str]:
        """Return the expression for the note of an entry, or of the import that made it."""
        imported = select(ListImport.note).where(ListImport.id == cls.import_id).scalar_subquery()
        return case((cls.note != "", cls.note), else_=func.coalesce(imported, "")).label("note")

    @classmethod
    def on_campaign_lists(cls) -> ColumnElement[bool]:
        """Return the condition for the current entries of campaign lists, which have an index."""
        return and_(cls.list_name != literal_column("'internal'"), cls.lifted_at.is_(None))

    @classmethod
    def of_number(cls, *numbers: str) -> ColumnElement[bool]:
        """Return the condition for the entries of these numbers. Current and lifted ones have an index each."""
        ids = select(cls.id).where(cls.number.in_(numbers))
        return cls.id.in_(union_all(ids.where(cls.lifted_at.is_(None)), ids.where(cls.lifted_at.is_not(None))))


class ListImport(Base):
    """One import of a file to one of the company's own lists.

    `read`, `added`, `already` and `rejected` count what is recorded so far, up to the moment `recorded_at`. The ids of
    its entries are between `first_entry` and `last_entry`. `ended_at` is when the audit event of the import was
    written, `undone_at` is when its undoing began.
    """

    __tablename__ = "list_imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    list_name: Mapped[str] = mapped_column(String(32))
    file_name: Mapped[str] = mapped_column(String(255))
    note: Mapped[str] = mapped_column(Text, default="")
    imported_at: Mapped[datetime]
    imported_by: Mapped[str] = mapped_column(String(64))
    file_sha256: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    read: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    added: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    already: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    rejected: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    first_entry: Mapped[int | None]
    last_entry: Mapped[int | None]
    recorded_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str | None] = mapped_column(String(64))
    undo_reason: Mapped[str | None] = mapped_column(Text)


class SuppressionPattern(Base):
    """The first digits of numbers, without the plus, all of which the company's own list blocks.

    Patterns are lifted, not deleted. At most one row of a prefix is not lifted.
    """

    __tablename__ = "suppression_patterns"
    __table_args__ = (
        Index(
            "uq_suppression_patterns_standing",
            "prefix",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    prefix: Mapped[str] = mapped_column(String(15))
    reason: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(32))
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(String(64))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(String(64))
    lift_reason: Mapped[str | None] = mapped_column(Text)


class CampaignListRow(Base):
    """One of the company's own lists that applies only to calls of these campaigns. It is never deleted."""

    __tablename__ = "campaign_lists"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    campaigns: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None] = mapped_column(String(64))


class DoNotCallRequest(Base):
    """A person's own request not to be called. Each request is a row, also when the number was listed already.

    `asked_on` is the day of the request in the installation's time zone. `lead_id` is the lead who asked; None if
    nobody knows which of the people on the number asked. A request that was recorded wrongly is withdrawn, not deleted.
    """

    __tablename__ = "do_not_call_requests"
    __table_args__ = (Index("ix_do_not_call_requests_number_asked_on", "number", "asked_on"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(16))
    asked_on: Mapped[date]
    source: Mapped[str] = mapped_column(String(32))
    lead_id: Mapped[str | None] = mapped_column(ForeignKey("leads.id"), index=True)
    note: Mapped[str] = mapped_column(Text, default="")
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str] = mapped_column(String(64))
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(String(64))
    withdraw_reason: Mapped[str | None] = mapped_column(Text)


class Registry(Base):
    """A list that an authority publishes, its version in force, and the terms on which it applies.

    `area_codes` are the area codes that the registry should cover; empty means its whole country. With `by_area_code` a
    version covers only the area codes that occur in its rows. Otherwise it covers everything that the registry should
    cover. `fresh_days` is how long a copy may be used; 0 means for ever. `spared` are the campaigns to which the
    registry does not apply.
    """

    __tablename__ = "registries"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    country: Mapped[str] = mapped_column(String(2))
    owner_account: Mapped[str | None] = mapped_column(String(64))
    area_codes: Mapped[list[str]]
    version_in_force_id: Mapped[int | None]
    by_area_code: Mapped[bool] = mapped_column(default=True)
    fresh_days: Mapped[int] = mapped_column(default=31)
    when_stale: Mapped[str] = mapped_column(String(8), default=BLOCK)
    when_uncovered: Mapped[str] = mapped_column(String(8), default=PASS)
    spared: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None] = mapped_column(String(64))


class RegistryVersion(Base):
    """One import of a registry. It is immutable once it is complete, that is, once `whole_at` is set.

    `kind` is `full` or `changes`; changes are applied to the version `base_id`. `accepted` and `rejected` count rows of
    the file, `numbers` the distinct numbers that the version lists, `added` and `removed` the differences from the
    previous version. `area_codes` are the area codes that occur in its rows. `beat_at` is the last heartbeat of a
    running import. `obtained` maps area codes to the moment their numbers were obtained (ISO 8601) where it differs
    from `obtained_at`. `may_shrink` means that a person has allowed the version to list far fewer numbers than the
    previous one.
    """

    __tablename__ = "registry_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    registry_name: Mapped[str] = mapped_column(ForeignKey("registries.name"), index=True)
    kind: Mapped[str] = mapped_column(String(16), default="full")
    base_id: Mapped[int | None]
    obtained_at: Mapped[datetime]
    format: Mapped[str] = mapped_column(String(32), default="")
    file_name: Mapped[str] = mapped_column(String(255))
    file_sha256: Mapped[str] = mapped_column(String(64))
    file_bytes: Mapped[int] = mapped_column(default=0)
    accepted: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    numbers: Mapped[int] = mapped_column(default=0)
    exchanges: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    removed: Mapped[int] = mapped_column(default=0)
    area_codes: Mapped[list[str]] = mapped_column(default=list)
    obtained: Mapped[dict[str, str]] = mapped_column(default=dict)
    may_shrink: Mapped[bool] = mapped_column(default=False)
    imported_at: Mapped[datetime]
    imported_by: Mapped[str] = mapped_column(String(64))
    beat_at: Mapped[datetime | None]
    whole_at: Mapped[datetime | None] = mapped_column(index=True)


class RegistryExchange(Base):
    """The line numbers that one registry version lists in one exchange, as `admin_web.record.lines` encodes them."""

    __tablename__ = "registry_exchanges"

    version_id: Mapped[int] = mapped_column(ForeignKey("registry_versions.id"), primary_key=True)
    exchange: Mapped[str] = mapped_column(String(11), primary_key=True)
    lines: Mapped[bytes]
