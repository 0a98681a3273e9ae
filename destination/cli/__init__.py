"""The command line: every command of the service, with help and examples."""

import sys

import click

from destination import __version__
from destination.cli import (
    checks,
    demo,
    forget,
    init,
    mappings,
    preview,
    reconcile,
    records,
    replay,
    service,
)
from destination.errors import BadSetting, Problem
from destination.support.text import printable_lines


class _Commands(click.Group):
    """Says our own errors in a sentence: exit 2 for a wrong setting, 1 for the rest."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            click.echo(printable_lines(f"Error: {problem}"), err=True)
            sys.exit(2 if isinstance(problem, BadSetting) else 1)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, package_name="loyalty-destination")
def main() -> None:
    """Segment's calls in, a loyalty engine out: in each customer's order, losing nothing,
    awarding once.

    Settings come from the environment (DESTINATION_…) and from a file .env; `destination init`
    writes one that lists them all.
    """


for command in (
    init.init,
    service.serve,
    service.worker,
    service.sandbox,
    service.migrate,
    service.hold,
    service.resume,
    replay.replay,
    reconcile.reconcile,
    preview.preview,
    checks.lint,
    checks.schema,
    checks.check,
    mappings.mappings,
    records.events,
    records.deliveries,
    records.discards,
    forget.forget,
    demo.run_demo,
):
    main.add_command(command)
