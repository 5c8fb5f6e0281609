"""The database: tables, migrations, the SQLite and PostgreSQL dialects, and `Change` (row, audit event, outbox row).

It imports no service and no page; the rooms above write through it.
"""
