"""The registry: everything that can be delivered to, the partners and each active subscriber.

It follows the database: what an account's owner changes holds everywhere within two seconds.
"""

import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView

from destination.partners.base.destination import Destination
from destination.partners.webhook.destination import Subscriber, Webhook
from destination.store import subscribers
from destination.store.database import Database
from destination.support.periodic import every

#: Seconds between two looks at the accounts.
LOOK_EVERY = 1.0


class Registry(Mapping[str, Destination]):
    """Destinations by name, at this moment. One that did not change stays the same object."""

    def __init__(self, database: Database, destinations: Mapping[str, Destination]) -> None:
        """`destinations` are the partners. Raises StoreUnavailable."""
        self._database = database
        self._partners = {
            name: destination
            for name, destination in destinations.items()
            if not isinstance(destination, Webhook)
        }
        self._kinds = [found for found in destinations.values() if isinstance(found, Webhook)]
        self._subscribers: dict[str, Destination] = {}
        self._all: Mapping[str, Destination] = {}
        self._turn = threading.Lock()
        self.look()

    def __getitem__(self, name: str) -> Destination:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    # Of one moment, though the next look may replace them all meanwhile: a Mapping's own would look
    # each name up anew.
    def items(self) -> ItemsView[str, Destination]:
        return self._all.items()

    def values(self) -> ValuesView[Destination]:
        return self._all.values()

    def look(self) -> bool:
        """Read the accounts; whether anything changed. Raises StoreUnavailable."""
        with self._turn:  # who looks last must not know less than who looked before
            return self._look()

    def _look(self) -> bool:
        active = subscribers.active(self._database)
        found: dict[str, Destination] = {}
        for kind in self._kinds:
            for account in active:
                new = Subscriber(account, kind)
                old = self._subscribers.get(new.name)
                same = isinstance(old, Subscriber) and old.account == account
                found[new.name] = old if same and old else new
            kind.subscribe(active)
        changed = found.keys() != self._subscribers.keys() or any(
            found[name] is not self._subscribers[name] for name in found
        )
        self._subscribers = found
        self._all = {**self._partners, **found}
        return changed

    def watch(self, changed: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """Look from now on, in a thread of its own, and say when something changed; until what
        is returned is called.
        """

        def look(_: threading.Event) -> None:
            if self.look():
                changed()

        return every(LOOK_EVERY, look, name="registry")
