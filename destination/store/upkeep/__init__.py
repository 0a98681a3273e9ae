"""Upkeep: what is past its age, or is asked to be erased, is removed."""
