"""A loyalty engine to practise on: it plays Rehook's HTTP API in a process of its own.

It tells by webhook what its customers earn, and stands in for Reward and for Segment's Tracking
API. It imports nothing of the rest of the project, and the rest reaches it by HTTP only. What it
remembers is in memory and gone when it stops. Its faces:

    serve(port=…, api_key=…, api_secret=…)     blocks until SIGTERM or Ctrl-C
    listening(create_app(…))                   a context manager, for tests
"""

from destination.sandbox.app import create_app
from destination.sandbox.rules import RulesError
from destination.sandbox.server import listening, serve

__all__ = ["RulesError", "create_app", "listening", "serve"]
