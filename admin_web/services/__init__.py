"""Writes: one module per noun. Each change writes a row, its audit event and its outbox row in one transaction.

The names exported here are those that callers of services need (site, API, commands): the actor, the records, the
numbers of leads, and whether a change is in force. So callers need not import `record`.
"""

from admin_web.record.changes import Actor, Change, NotInForce, Records, Standing, public_words, utc_now
from admin_web.record.database import Database, DatabaseUnavailable, OutcomeUnknown
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.schema import SchemaMismatch
from admin_web.record.steady_clock import SteadyClock
from admin_web.record.tally import Tally, tallied

__all__ = [
    "Actor",
    "Change",
    "Database",
    "DatabaseUnavailable",
    "LabelledNumber",
    "NotInForce",
    "OutcomeUnknown",
    "Records",
    "SchemaMismatch",
    "Standing",
    "SteadyClock",
    "Tally",
    "public_words",
    "tallied",
    "utc_now",
]
