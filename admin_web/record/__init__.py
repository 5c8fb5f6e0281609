"""The database: tables, migrations, the SQLite and PostgreSQL dialects, and `Change` (row, audit event, outbox row).

It imports neither services nor pages. The packages in higher layers (CONTRIBUTING.md) write to the database through it.
"""
