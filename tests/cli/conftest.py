"""What every test of the command line needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Take back the handler that a run in this process leaves: its stderr is gone when the test is over."""
    logger = logging.getLogger("dagfm")
    before = logger.handlers, logger.level
    yield
    logger.handlers, logger.level = before
