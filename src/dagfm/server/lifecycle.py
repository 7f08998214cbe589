"""Whether the server is ending."""

from __future__ import annotations


class Lifecycle:
    """Set once, when SIGTERM arrives; every answer then tells its client to connect anew, somewhere else."""

    def __init__(self) -> None:
        self.draining = False
