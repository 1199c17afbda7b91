"""Run by Alembic inside the connection that `forecourt migrate` hands it."""

from alembic import context

from forecourt.cli.migrate import configure

connection = context.config.attributes["connection"]
configure(context, connection)
with context.begin_transaction():
    context.run_migrations()
