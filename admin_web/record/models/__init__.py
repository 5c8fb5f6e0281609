"""Every table of the system of record, on SQLite and PostgreSQL.

Nothing is deleted. An entry is lifted, an override revoked or expired, a user disabled; who, when and why are
columns. Columns that end in `_by` contain a user name, which never changes, or `shell:NAME` for the operator's shell.
"""

from admin_web.record.models.base import Base, UtcDateTime
from admin_web.record.models.calls import (
    CallDetail,
    CallRequest,
    CdrFile,
    DecisionRecord,
    DecisionTotal,
    Disposition,
    Telephone,
)
from admin_web.record.models.consent import Document, Override
from admin_web.record.models.people import (
    ApiToken,
    AuditEvent,
    RecoveryCode,
    SignInBucket,
    SignInSession,
    SiteSecret,
    User,
)
from admin_web.record.models.projection import (
    LostOverride,
    OutboxRow,
    ProjectionCheck,
    ProjectionMark,
    ProjectionRow,
    Recovery,
)
from admin_web.record.models.suppression import (
    CampaignListRow,
    DoNotCallRequest,
    Lead,
    LeadNumber,
    ListImport,
    Registry,
    RegistryExchange,
    RegistryVersion,
    SuppressionEntry,
    SuppressionPattern,
)
from admin_web.record.models.work import IdempotencyKey, Job, Webhook, WebhookDelivery

__all__ = [
    "ApiToken",
    "AuditEvent",
    "Base",
    "CallDetail",
    "CallRequest",
    "CampaignListRow",
    "CdrFile",
    "DecisionRecord",
    "DecisionTotal",
    "Disposition",
    "DoNotCallRequest",
    "Document",
    "IdempotencyKey",
    "Job",
    "Lead",
    "LeadNumber",
    "ListImport",
    "LostOverride",
    "OutboxRow",
    "Override",
    "ProjectionCheck",
    "ProjectionMark",
    "ProjectionRow",
    "Recovery",
    "RecoveryCode",
    "Registry",
    "RegistryExchange",
    "RegistryVersion",
    "SignInBucket",
    "SignInSession",
    "SiteSecret",
    "SuppressionEntry",
    "SuppressionPattern",
    "Telephone",
    "User",
    "UtcDateTime",
    "Webhook",
    "WebhookDelivery",
]
