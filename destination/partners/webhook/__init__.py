"""Event notifications by webhook: everyone who subscribed to an event's name is told of it."""

from destination.partners.base.partner import Partner
from destination.partners.webhook.destination import Webhook, WebhookSettings

PARTNER = Partner(settings=WebhookSettings, destination=Webhook)
