"""How Alembic runs our migrations: on the connection, and in the transaction, that it is given."""

from alembic import context

from destination.store import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata
)
context.run_migrations()
