"""Run by alembic: the connection comes from `migrate.py` with its transaction, so a failed migration leaves no trace."""

from __future__ import annotations

from alembic import context

from gb28181.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
