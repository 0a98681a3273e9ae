"""A partner is a company whose API we talk with: a source, a destination, or both.

A partner's file, or folder, holds what is particular to it: addresses, credentials, signatures,
actions and their fields, its own settings. Receiving, routing, storing, sending and retrying
are written once, elsewhere. `docs/partners.md` shows how to add one.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from destination.partners.base.destination import Destination
from destination.partners.base.partner import Partner
from destination.partners.base.source import Source
from destination.settings.tables import Environment, Table


def _partners() -> dict[str, Partner[Any]]:
    """Every partner, by name: each module or folder in this folder that offers `PARTNER`.

    Each has settings of a type of its own.
    """
    found = sorted(module.name for module in iter_modules(__path__))
    offers = {name: getattr(import_module(f"{__name__}.{name}"), "PARTNER", None) for name in found}
    return {name: offer for name, offer in offers.items() if isinstance(offer, Partner)}


def names() -> list[str]:
    """The names of all partners."""
    return list(_partners())


def tables() -> list[type[Table]]:
    """The settings of every partner."""
    return [partner.settings for partner in _partners().values()]


def sources(environment: Environment) -> dict[str, Source]:
    """Every partner that sends us webhooks, by name, with its settings read."""
    return {
        name: partner.source(environment.read(partner.settings))
        for name, partner in _partners().items()
        if partner.source
    }


def destinations(environment: Environment) -> dict[str, Destination]:
    """Every partner that receives our deliveries, by name, with its settings read."""
    return {
        name: partner.destination(environment.read(partner.settings))
        for name, partner in _partners().items()
        if partner.destination
    }
