"""Segment's calls in, a loyalty engine out: in order, losing nothing, awarding once."""

__version__ = "0.1.0"
