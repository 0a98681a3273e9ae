"""Segment, a customer data platform: it sends us calls, and takes what rewards come back."""

from destination.partners.base.partner import Partner
from destination.partners.segment.destination import Tracking
from destination.partners.segment.settings import SegmentSettings
from destination.partners.segment.source import Segment, read_calls

__all__ = ["Segment", "SegmentSettings", "Tracking", "read_calls"]

PARTNER = Partner(settings=SegmentSettings, source=Segment, destination=Tracking)
