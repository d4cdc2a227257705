"""Runs the versions on the connection that `gateway.storage.migrate` hands over. Alembic loads this file by path."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=False, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
