"""Alembic's environment. It uses the connection and transaction that `admin_web.record.schema` has opened."""

from alembic import context

from admin_web.record.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters most of a table by copying it.
    compare_server_default=True,
)
context.run_migrations()
