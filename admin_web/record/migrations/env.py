"""Run by Alembic, on the connection and in the transaction that `admin_web.record.schema` opened."""

from alembic import context

from admin_web.record.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    compare_server_default=True,
)
context.run_migrations()
