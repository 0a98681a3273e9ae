"""A database that is filled by the way that calls take, without HTTP."""

import os
from typing import cast

import load

from destination.app import Setup
from destination.routing import route
from destination.store.queue import enqueue
from destination.support.json_codec import Json

#: How many calls are kept in one commit.
GROUP = 1000


class Filled:
    """Takes in as many calls as it is told, each newer than those before."""

    def __init__(self, url: str, *, customers: int) -> None:
        """The calls are about so many `customers` in turn, until that is changed."""
        self.url = url
        self.customers = customers
        os.environ["DESTINATION_DATABASE_URL"] = url
        os.environ["DESTINATION_MAPPINGS"] = str(load.ROOT / "mappings")
        receiver = Setup.read().receiver()
        self.database, self._routes = receiver.database, receiver.routes.current
        self._number = 0

    def fill(self, count: int) -> None:
        """Take `count` calls in."""
        while count > 0:
            numbers = range(self._number, self._number + min(count, GROUP))
            calls = (load.call(number, self.customers) for number in numbers)
            arrivals = [
                route.arrive(cast(dict[str, Json], call), "segment", self._routes) for call in calls
            ]
            enqueue.enqueue(self.database, arrivals)
            self._number, count = numbers.stop, count - len(numbers)
