"""The files through which workers share their figures: one of each kind a worker, in prometheus-client's form."""

from __future__ import annotations

import os
import struct
from pathlib import Path

KINDS = ("counter", "gauge_livesum", "histogram")
_RESERVED = 1 << 17
"""Bytes of each; the figures of several models fit, and the file grows where they do not."""
_USED = struct.Struct("=i")
"""What a file begins with: how many of its bytes are used."""


def reserve(folder: Path) -> None:
    """Take the disk space for this process beforehand, as figures are written through mapped memory: a disk that is
    full by then would end the process. Raises OSError where it is full already."""
    for path in _files(folder, os.getpid()):
        if not path.exists():  # else of a worker that had the same number, whose figures count on
            path.write_bytes(bytes(_RESERVED))


def bury(folder: Path, pid: int) -> None:
    """Have a worker that is gone count as none that serves; what it counted stays, in files as small as can be."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - reads the environment

    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    for path in _files(folder, pid):
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(max(_USED.unpack(file.read(_USED.size))[0], 2 * _USED.size))


def _files(folder: Path, pid: int) -> list[Path]:
    return [folder / f"{kind}_{pid}.db" for kind in KINDS]
