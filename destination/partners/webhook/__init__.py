"""Event notifications by webhook: everyone who subscribed to an event's name is told of it."""

from destination.partners.webhook.destination import SETTINGS, destination

__all__ = ["SETTINGS", "destination"]
