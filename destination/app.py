"""What the commands work with, made from the settings."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from destination import partners
from destination.errors import Problem
from destination.mapping import files
from destination.mapping.documents import Finding
from destination.partners.base.credentials import Lock
from destination.partners.base.destination import Destination
from destination.partners.base.source import Source
from destination.partners.segment import Segment, SegmentSettings
from destination.partners.webhook.destination import WebhookSettings
from destination.registry import Registry
from destination.routing.reload import LiveRoutes
from destination.routing.route import Routes
from destination.settings.tables import PREFIX, Environment, Settings
from destination.store import database
from destination.store.database import Database
from destination.store.queries.lists import remember_mappings
from destination.store.queue.group_commit import GroupCommit
from destination.support import json_codec
from destination.support.text import did_you_mean, listed
from destination.web.receive import Receiver

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The settings, read and checked, and the partners that they make."""

    settings: Settings
    environment: Environment
    segment: Segment
    sources: Mapping[str, Source]
    destinations: Mapping[str, Destination]

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Setup":
        """From an environment, by default the process's own, and `.env`. Raises BadSetting."""
        environment = Environment.load(environ)
        environment.refuse_unknown(Settings, *partners.tables())
        segment = Segment(environment.read(SegmentSettings))
        return cls(
            settings=environment.read(Settings),
            environment=environment,
            segment=segment,
            sources={**partners.sources(environment), segment.name: segment},
            destinations=partners.destinations(environment),
        )

    @property
    def closed(self) -> dict[str, str]:
        """The doors for which no credential is set, each with the settings that open it: every
        request there is answered 401.
        """
        doors = {
            f"/webhooks/{name}": listed(source.credentials, "or")
            for name, source in self.sources.items()
            if not source.protected
        }
        if not self.segment.accepts_keys:
            doors["/v1"] = SegmentSettings.PREFIX + "WRITE_KEYS"
        if not self.notifications.protects:
            doors["/v3/webHooks"] = f"{PREFIX}NOTIFICATIONS_USER and {PREFIX}NOTIFICATIONS_PASSWORD"
        return doors

    def source(self, name: str) -> Source:
        """Raises Problem for a name that no source has."""
        if name not in self.sources:
            raise Problem(f"No source is called {name}. {did_you_mean(name, self.sources)}")
        return self.sources[name]

    def missing(self, destination: Destination) -> list[str]:
        """The credentials of a destination that are not set."""
        return [name for name in destination.credentials if name not in self.environment.values]

    @property
    def clocked(self) -> Mapping[str, Destination]:
        """Those of the destinations to which no trait is sent that something newer has set."""
        return self.destinations if self.settings.stale_traits == "drop" else {}

    @property
    def notifications(self) -> Lock:
        """What a request to the subscribers' API must show."""
        return Lock(
            user=self.settings.notifications_user,
            password=self.settings.notifications_password,
        )

    @property
    def actions(self) -> files.Actions:
        """What the mapping files can name."""
        return {
            name: {action.name: action.fields for action in destination.actions.values()}
            for name, destination in self.destinations.items()
        }

    def read_mappings(
        self, path: Path, examples: Mapping[str, Sequence[Any]] | None = None
    ) -> tuple[list[files.Mapping], list[Finding]]:
        """The mappings of a file or a folder that can be used, and what is wrong with the others;
        with `examples`, the calls of each source, warnings too.
        """
        return files.read_mappings(path, list(self.sources), self.actions, examples)

    def routes(self) -> Routes:
        """The mappings of the folder, compiled; those to a destination that is not in use are
        switched off. Raises InvalidMapping with every fault.
        """
        folder = self.settings.mappings
        texts, mappings = None, []
        while texts != (found := _texts(folder)):  # a file that is saved meanwhile is read again
            texts = found
            mappings = files.load_mappings(folder, list(self.sources), self.actions)
        return Routes(
            mappings=[
                replace(each, enabled=each.enabled and self.destinations[each.destination].in_use)
                for each in mappings
            ],
            digest=hashlib.sha256(json_codec.dumps(texts).encode()).hexdigest()[:16],
            texts=texts,
            destinations=self.destinations,
            sources=self.sources,
            anonymous=self.settings.anonymous,
            old_codes=self.settings.old_codes,
            clocked=self.clocked,
            award_memory=self.settings.award_memory,
            max_event_bytes=self.settings.max_event_bytes,
        )

    def receiver(self) -> Receiver:
        """What the receiver works with. Raises as `routes` and `database` do."""
        database = self.database()
        return Receiver(
            database=database,
            group_commit=GroupCommit(database),
            routes=LiveRoutes(
                self.settings.mappings,
                self.routes,
                lambda routes: remember_mappings(database, routes.digest, routes.texts),
            ),
            segment=self.segment,
            registry=Registry(database, self.destinations),
            notifications=self.notifications,
            permit=self.environment.read(WebhookSettings).guard.check,
            max_body_bytes=self.settings.max_body_bytes,
            max_batch_calls=self.settings.max_batch_calls,
            max_event_bytes=self.settings.max_event_bytes,
        )

    def database(self) -> Database:
        """The database, its tables made where it is new. Raises Problem when they do not fit."""
        opened = database.connect(self.settings.database_url)
        if warning := opened.prepare():
            log.warning(warning)
        return opened


def _texts(folder: Path) -> dict[str, str]:
    """The mapping files, by their paths below the folder; those that can be read."""
    found = {}
    for path in files.files(folder):
        with suppress(OSError):
            found[str(path.relative_to(folder))] = path.read_text("utf-8", "replace")
    return found
