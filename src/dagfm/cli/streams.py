"""The standard streams of a process, which whoever starts it may have closed."""

from __future__ import annotations

import os
import sys


def open_missing_streams() -> None:
    """Have stdin, stdout and stderr lead nowhere where they are closed.

    The next files and sockets that are opened would get their numbers otherwise, and be read from and written to as if
    they were these; and Python has None in their place.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: that of the stream
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode))
