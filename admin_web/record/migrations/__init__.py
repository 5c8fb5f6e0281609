"""The Alembic migrations: one revision per change of the tables."""
