"""The database that a service has filled, as the commands that look into it open it."""

import click

from destination.app import Setup
from destination.errors import Problem
from destination.store import database
from destination.store.database import Database


def kept_database(setup: Setup) -> Database:
    """The database of a service that has run; a warning about its tables goes to the terminal.

    Raises Problem where there is no database: an empty list would say that all is well.
    """
    opened = database.connect(setup.settings.database_url)
    if not opened.exists():
        raise Problem(
            "The database that DESTINATION_DATABASE_URL names has no tables: has the receiver "
            "run with it? Commands read the same settings as the service."
        )
    if warning := opened.prepare():
        click.echo(f"Warning: {warning}", err=True)
    return opened
