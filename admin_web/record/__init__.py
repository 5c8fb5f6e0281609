"""The database: its tables and migrations, its two dialects, and the change (row, audit event, outbox) itself.

Knows no service and no page; everything above writes through it.
"""
