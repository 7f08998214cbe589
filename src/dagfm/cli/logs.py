"""The package's log on stderr, as bare messages."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(level: int) -> None:
    """Send the log of ``dagfm`` from ``level`` on to stderr; a second call replaces the first."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("dagfm")
    logger.handlers = [handler]
    logger.setLevel(level)
