"""Routing: what becomes of an event by the mapping files in force."""
