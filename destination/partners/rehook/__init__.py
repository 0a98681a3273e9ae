"""Rehook, a loyalty engine: it takes customers and events, and tells by webhook what they earn."""

from destination.partners.base.partner import Partner
from destination.partners.rehook.destination import Rehook
from destination.partners.rehook.settings import RehookSettings
from destination.partners.rehook.source import RehookWebhook

__all__ = ["Rehook", "RehookSettings", "RehookWebhook"]

PARTNER = Partner(settings=RehookSettings, source=RehookWebhook, destination=Rehook)
