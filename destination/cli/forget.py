"""The command that removes what is kept about a customer."""

import click

from destination.app import Setup
from destination.cli.call_files import opened
from destination.cli.counting import counted
from destination.cli.kept import kept_database
from destination.model.arrival import CountedOutcome
from destination.store.upkeep import erasure
from destination.store.upkeep.erasure import Known
from destination.support.json_codec import is_unicode


@click.command()
@click.argument("user_ids", nargs=-1)
@click.option(
    "--anonymous-id", "anonymous", multiple=True, help="Calls with this anonymousId and no userId."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(user_ids: tuple[str, ...], anonymous: tuple[str, ...], yes: bool) -> None:
    """Remove what is kept about customers, and send nothing of theirs that waits.

    Their calls, deliveries, attempts and discards go; neither a retry nor a replay brings them
    back. Calls that they make afterwards are new ones. What the engine keeps is the engine's.
    Name each id that a customer has or had: that of before an alias, and where a mapping names the
    customer to the engine by another one, this too. What was sent before it was known who they are
    is found by --anonymous-id, as often as there are such ids.

    USER_IDS may be -: one a line from standard input, so that none is seen in a list of processes.

    \b
    Examples:
      destination forget ada
      destination forget ada --anonymous-id 1f3b8c9e
      destination forget --yes - < requests.txt
    """
    if not (user_ids or anonymous):
        raise click.UsageError("Name the customers, or say --anonymous-id.")
    if "-" in user_ids and not yes:
        raise click.UsageError("Say --yes: standard input is taken by the list.")
    named = [each for each in dict.fromkeys(user_ids) if each != "-"]
    if "-" in user_ids:
        with opened("-") as lines:
            named += [line.strip() for _, line in lines]
    if not all(map(is_unicode, (*named, *anonymous))):
        raise click.UsageError("One of the ids is not UTF-8 text.")
    database = kept_database(Setup.read())
    known = erasure.find(database, named, anonymous)
    if known.unknown:
        click.echo(f"Nothing was found for {known.unknown:,} of the ids.", err=True)
    if not yes:
        click.confirm(f"Remove for ever: {_so_many(len(known.events), known)}?", abort=True)
        # Calls have come while somebody thought about it.
        known = erasure.find(database, named, anonymous)
    outcomes = (
        CountedOutcome("removed")
        for count in erasure.forget(database, named, known)
        for _ in range(count)
    )
    again = "it goes on where it stopped."
    removed = counted(outcomes, len(known.events), unit="events", again=again)
    click.echo(f"Removed: {_so_many(removed.total(), known)}.")


def _so_many(events: int, known: Known) -> str:
    return f"{events:,} events, {known.waiting:,} deliveries that wait"
