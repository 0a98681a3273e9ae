"""What a delivery's request carries: a payload is what a mapping made, a body is what leaves."""

from collections.abc import Mapping

from destination.partners.base.destination import Destination, partner_of
from destination.store.queries.lists import Row
from destination.support import json_codec


def body_of(
    delivery: Row, destinations: Mapping[str, Destination], method: str | None = None
) -> str | None:
    """The body of a delivery's request; of one with this method, where it has several. None
    where it has none.
    """
    action = destinations[partner_of(delivery["destination"])].actions[delivery["action"]]
    requests = action.requests(json_codec.load_object(delivery["payload"]))
    # An account's method is its own, and its request is the only one.
    found = [request for request in requests if request.method == method] or requests
    return found[-1].body
