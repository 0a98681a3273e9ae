"""Logs say what happened to which event or delivery, by number: never who it was about."""

import logging
import sys
import time
import traceback

import structlog


def configure(log_format: str) -> None:
    """Log to standard error, as `text` for people or `json` for machines."""
    if log_format == "json":
        renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    # What libraries log goes the same way: the server's lines, too.
    handler = logging.StreamHandler(sys.stderr)
    before: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=before)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class Sparing:
    """Allows so many log lines in a time, and no more: for what a stranger can cause."""

    def __init__(self, *, most: int, within: float) -> None:
        """`within` in seconds."""
        self._most, self._within = most, within
        self._began = -within
        self._count = 0

    def allows(self) -> bool:
        """Whether one more line may be written now."""
        now = time.monotonic()
        if now - self._began >= self._within:
            self._began, self._count = now, 0
        self._count += 1
        return self._count <= self._most


def fault(error: BaseException) -> dict[str, str]:
    """What a log line says of an unexpected error: its type and where it arose. Its text is
    left out, for it may quote what somebody sent.
    """
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return {"error": type(error).__name__, "at": " > ".join(places)}
