"""A worker whose destination is poisonous: some payloads take down the process that has them.

`python -m tests.faults.poisonous` is `destination worker` with it.
"""

import os
from dataclasses import replace

from destination.partners.rehook import Rehook


class Deadly(str):
    """A body that takes down whoever sends it."""

    def encode(self, *_):
        os.abort()


class Poisonous(Rehook):
    """What the metadata's `poison` says befalls the process: when a request is made, or sent."""

    def __init__(self, settings):
        super().__init__(settings)
        self.actions = {
            name: replace(action, requests=getattr(self, f"_poisoned_{name}"))
            for name, action in self.actions.items()
        }

    def _poisoned_identifyUser(self, payload):  # noqa: N802 - as its action is called
        return poisoned(payload, self._identify(payload))

    def _poisoned_trackEvent(self, payload):  # noqa: N802 - as its action is called
        return poisoned(payload, self._track(payload))


def poisoned(payload, requests):
    poison = payload.get("metadata", {}).get("poison")
    if poison == "making":
        os.abort()
    if poison == "sending":
        return [replace(request, body=Deadly(request.body)) for request in requests]
    return requests


if __name__ == "__main__":
    from destination import partners
    from destination.cli import main

    real = partners.destinations
    partners.destinations = lambda environment: {
        name: Poisonous(each.pacing) if name == "rehook" else each
        for name, each in real(environment).items()
    }
    main(["worker"])
