"""The settings, as tables: a name, a default and a sentence of help each.

A table is a frozen dataclass whose fields are made by `setting`. `Settings` is the service's
own; a partner brings one of its own in its file. Values come from the environment, then from
an optional `.env` in the working directory, then from the default.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from dotenv.parser import parse_stream

from destination.errors import BadSetting
from destination.settings.modes import AnonymousCalls, OldCodes, StaleTraits, UnknownAwards
from destination.settings.parsers import (
    DAY,
    age_from,
    count,
    member_of,
    one_of,
    part,
    per_second,
    seconds,
    text,
)
from destination.support.text import nearest

#: Every name of ours in the environment begins with this.
PREFIX = "DESTINATION_"


class Table(Protocol):
    """A table of settings: a dataclass with the prefix that its names share."""

    PREFIX: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]  # as every dataclass declares it


T = TypeVar("T", bound=Table)
V = TypeVar("V")


def setting(default: V, help: str, *, read: Callable[[str], V], secret: bool = False) -> V:  # noqa: A002
    """One row of a table. `read` turns text into the value, or raises ValueError that says
    what it must be; the value of a `secret` is never shown.
    """
    metadata = {"help": help, "read": read, "secret": secret}
    row: V = field(default=default, metadata=metadata, repr=not secret)
    return row


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """How fast a destination may be sent to: every destination's table begins with these."""

    # So many may fail before anybody can know that it is down: the breaker opens within 20 calls.
    concurrency: int = setting(
        20, "How many requests a worker has under way to it.", read=count(1, 512)
    )
    rate_limit: float = setting(
        0.0,
        "Requests a second that all workers together send to it at most; 0: no limit. Waiting "
        "for it costs no attempt.",
        read=per_second,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The service's own settings."""

    PREFIX: ClassVar[str] = PREFIX

    database_url: str = setting(
        "sqlite:///destination.db",
        "Where events and deliveries are kept. Give an absolute path in production: "
        "sqlite:////var/lib/destination/destination.db",
        read=text,
        secret=True,
    )
    host: str = setting("127.0.0.1", "The address that the receiver listens on.", read=text)
    port: int = setting(8080, "The port that the receiver listens on.", read=count(1, 65_535))
    mappings: Path = setting(
        Path("mappings"),
        "The folder of mapping files, with one folder per direction in it.",
        read=Path,
    )
    anonymous: AnonymousCalls = setting(
        AnonymousCalls.SEND,
        "What becomes of a call that has an anonymousId beside its userId: send it, as Segment's "
        "own destination does, or drop it.",
        read=member_of(AnonymousCalls),
    )
    old_codes: OldCodes = setting(
        OldCodes.KEEP,
        "What becomes of a customer's referral code when it brings another one: keep it as its "
        "own, or free it for others.",
        read=member_of(OldCodes),
    )
    award_days: int = setting(
        400,
        "Days for which it is remembered what was awarded, so that nothing is awarded twice.",
        read=count(1, 4000),
    )
    stale_traits: StaleTraits = setting(
        StaleTraits.DROP,
        "What becomes of a trait that arrives late, after a newer event has set it: drop it, or "
        "send it all the same.",
        read=member_of(StaleTraits),
    )
    ambiguous: UnknownAwards = setting(
        UnknownAwards.PARK,
        "What becomes of an award whose answer is unknown: park it as uncertain until somebody "
        "has looked, or retry it and risk that it is paid twice.",
        read=member_of(UnknownAwards),
    )
    max_body_bytes: int = setting(
        4 * 1024 * 1024 + 65_536,
        "The largest body that the receiver takes. Segment's batches have up to 4 MB.",
        read=count(1024, 64 * 1024 * 1024),
    )
    max_batch_calls: int = setting(
        4000, "How many calls one body may hold.", read=count(1, 100_000)
    )
    max_event_bytes: int = setting(
        32 * 1024,
        "The largest single call, as Segment itself bounds it.",
        read=count(256, 4 * 1024 * 1024),
    )
    connect_timeout: float = setting(
        5.0, "Seconds to wait for a connection to a destination.", read=seconds
    )
    read_timeout: float = setting(
        20.0, "Seconds to wait for a destination's whole answer.", read=seconds
    )
    lease: float = setting(
        60.0,
        "Seconds that a worker may hold a lane: more than twice the two timeouts together. "
        "What a killed worker held is taken up after this.",
        read=seconds,
    )
    retry_horizon: float = setting(
        72 * 3600.0,
        "Seconds from its first attempt for which a delivery is tried again.",
        read=seconds,
    )
    hold_probe: float = setting(
        60.0,
        "Seconds between the single probes by which a held destination is found well again.",
        read=seconds,
    )
    breaker_failures: int = setting(
        10,
        "After how many failures in a row, of a destination as a whole (no connection, no answer, "
        "5xx but for 501), it is held and only probed, until it is well again; 0: never.",
        read=count(0, 1000),
    )
    breaker_probe: float = setting(
        5.0, "Seconds between the single probes of a destination that was down.", read=seconds
    )
    bulk_share: float = setting(
        0.2,
        "The part of a destination's concurrency that bulk (audiences, computed traits, replays) "
        "may have while anything else waits.",
        read=part,
    )
    metrics_port: int = setting(
        0,
        "The port on which `destination worker` tells its metrics, on DESTINATION_HOST; 0: none. "
        "A receiver tells its own on its own port, and those of a worker beside it.",
        read=count(0, 65_535),
    )
    keep_delivered: float = setting(
        30 * DAY, "How long a delivery is kept after the engine has taken it.", read=age_from("1h")
    )
    keep_discarded: float = setting(
        30 * DAY, "How long it is kept why an event was discarded.", read=age_from("1h")
    )
    keep_failed: float = setting(
        90 * DAY,
        "How long a delivery is kept that failed or is uncertain, for somebody to look at.",
        read=age_from("1d"),
    )
    keep_ids: float = setting(
        30 * DAY,
        "How long a call's messageId is still known after its payload is gone, so that the same "
        "call again changes nothing: 7d or more.",
        read=age_from("7d"),
    )
    notifications_user: str = setting(
        "", "The user name of the subscribers' API, by Basic auth.", read=text
    )
    notifications_password: str = setting(
        "",
        "The password of the subscribers' API. Without a user and a password, the API is closed.",
        read=text,
        secret=True,
    )
    log_format: str = setting(
        "text",
        "How a log line is written: text for people, json for machines.",
        read=one_of("text", "json"),
    )

    @property
    def award_memory(self) -> float:
        """Seconds for which an award is remembered."""
        return self.award_days * DAY

    def __post_init__(self) -> None:
        longest = self.connect_timeout + self.read_timeout
        if self.lease <= 2 * longest:
            raise BadSetting(
                f"{PREFIX}LEASE is {self.lease:g} seconds, but must be more than twice the two "
                f"timeouts together ({longest:g} seconds), or a slow answer could be sent for "
                "twice. Raise it, or lower the timeouts."
            )


@dataclass(frozen=True)
class Environment:
    """What the environment and `.env` say, not yet read into tables."""

    values: Mapping[str, str]

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Environment":
        """The process's environment; what it leaves out comes from `.env`, where there is one.

        Raises BadSetting for a line of `.env` that cannot be read.
        """
        found = {**_read_file(Path(".env")), **environ}
        ours = {name: value for name, value in found.items() if name.upper().startswith(PREFIX)}
        return cls({name: value for name, value in ours.items() if value})

    def read(self, table: type[T]) -> T:
        """The table, filled. Raises BadSetting that names the setting and what it must be."""
        values = {}
        for name, row in rows(table):
            if name in self.values:
                try:
                    values[row.name] = row.metadata["read"](self.values[name])
                except ValueError as error:
                    shown = "" if row.metadata["secret"] else f" is {self.values[name]!r}, but"
                    raise BadSetting(f"{name}{shown} {error}.") from error
        return table(**values)

    def refuse_unknown(self, *tables: type[Table]) -> None:
        """Raises BadSetting for a name that no table has: a typo must not pass in silence."""
        known = [name for table in tables for name, _ in rows(table)]
        for name in sorted(set(self.values) - set(known)):
            near = nearest(name, known)
            remedy = f"Did you mean {near}?" if near else "docs/settings.md lists them all."
            raise BadSetting(f"{name} is not a setting. {remedy}")


def _read_file(path: Path) -> dict[str, str]:
    """The settings of an env file; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadSetting(f"{path.resolve()} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path.resolve()} cannot be read as UTF-8 text: {error}.") from error
    values = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            raise BadSetting(
                f"{path}:{binding.original.line}: this is not NAME=value. Quotes must be closed."
            )
        if binding.key:
            values[binding.key] = binding.value or ""
    return values


def rows(table: type[Table]) -> Iterator[tuple[str, Field[object]]]:
    """Each setting of a table: its name in the environment, and its dataclass field."""
    for row in fields(table):
        yield table.PREFIX + row.name.upper(), row
