"""Faults, for real: processes killed and paused, a database that vanishes, an engine that misbehaves.

`python -m tests.faults --help` says how a run is started by hand.
"""
