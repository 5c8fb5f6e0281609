"""Writes: one module a noun; each change is a row, its audit event and its outbox row in one transaction.

Whoever calls a service (site, API, commands) finds here what a call takes and gives: who acts, the record that is
worked on, and whether a change is in force. So the ways in need not know how the record is kept.
"""

from admin_web.record.changes import IN_FORCE, Actor, NotInForce, Records, Standing, utc_now
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.schema import SchemaMismatch

__all__ = [
    "IN_FORCE",
    "Actor",
    "Database",
    "DatabaseUnavailable",
    "NotInForce",
    "Records",
    "SchemaMismatch",
    "Standing",
    "utc_now",
]
