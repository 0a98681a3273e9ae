"""The options by which lists, resolving and replaying choose among what is kept."""

import functools
import time
from collections.abc import Callable
from typing import Any

import click

from destination.model.delivery import Status
from destination.settings.parsers import age
from destination.store.queries.filters import Filter
from destination.support import json_codec


class Moment(click.ParamType[float]):
    """A time, as seconds since 1970 UTC: `2026-05-01`, `2026-05-01T08:30`, or `2h` ago.

    Without a zone it is UTC, as the lists show it.
    """

    name = "time"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return time.time() - age(value)
        except ValueError:
            pass
        try:
            return json_codec.seconds(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a time. Write 2026-05-01, 2026-05-01T08:30 (UTC), or an age: "
                "30m, 2h, 3d.",
                param,
                ctx,
            )


_MOMENT = Moment()

#: What a command of click's runs.
Command = Callable[..., None]


def _customer(command: Command) -> Command:
    """`--customer`; `--lane` is its former name."""
    former = click.option("--lane", "customer", hidden=True)
    return click.option("--customer", help="Only those of this customer.")(former(command))


#: Each option by its name, which is that of the filter's field too.
_OPTIONS: dict[str, Callable[[Command], Command]] = {
    "status": click.option(
        "--status",
        type=click.Choice([status.value for status in Status]),
        callback=lambda _, __, value: value and Status(value),
        help="Only these.",
    ),
    "source": click.option("--source", help="Only those of this source."),
    "message_id": click.option("--message-id", help="Only those of this call."),
    "destination": click.option("--destination", help="Only those to this destination."),
    "mapping": click.option("--mapping", help="Only those of this mapping."),
    "reason": click.option(
        "--reason", help="Only those with this reason: http_400, no_matching_mapping, …"
    ),
    "customer": _customer,
    "since": click.option(
        "--since", type=_MOMENT, help="Only those made since: 2026-05-01T08:30 (UTC), or 2h ago."
    ),
    "until": click.option("--until", type=_MOMENT, help="Only those made before."),
}


def chosen_by(*names: str) -> Callable[[Command], Command]:
    """Options of these names; the command is given them as one filter, `chosen`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_filter(*args: object, **kwargs: Any) -> None:  # as click has read them
            values = {name: kwargs.pop(name) for name in names}
            for name, value in values.items():
                if isinstance(value, str) and not json_codec.is_unicode(value):
                    raise click.UsageError(f"--{name.replace('_', '-')} is not UTF-8 text.")
            command(*args, chosen=Filter(**values), **kwargs)

        choosing: Command = with_filter
        for name in reversed(names):
            choosing = _OPTIONS[name](choosing)
        return choosing

    return decorate
