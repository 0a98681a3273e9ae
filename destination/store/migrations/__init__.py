"""The history of the tables, one file a version, and how a database is brought to the newest."""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

_FOLDER = str(Path(__file__).parent)


def version(connection: sa.Connection) -> str | None:
    """The version of a database's tables; None where it has none."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The version that this program needs: where its migrations lead to."""
    return str(ScriptDirectory(_FOLDER).get_current_head())


def is_newer(found: str, needed: str) -> bool:
    """Versions are numbers of four digits, each one more than the one before."""
    return found.isdigit() and found > needed


def newer_words(found: str, needed: str) -> str:
    """What to say of tables that are newer than the program."""
    return (
        f"The database's tables are of version {found}, newer than this program, which needs "
        f"{needed} and works on them all the same. Start the newer program to end the upgrade."
    )


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables to the newest version, in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", _FOLDER)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
