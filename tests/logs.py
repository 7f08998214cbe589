"""What the tests of reading share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.log import Log, open_log


def write(path: Path, data: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def opened(paths: str | Sequence[str], store: Path, tables: dict[str, str] | None = None, **options: Any) -> Log:
    """The log of some paths, converted below ``store``."""
    several = (paths,) if isinstance(paths, str) else tuple(paths)
    sides = {key: TableConfig(path=path) for key, path in (tables or {}).items()}
    return open_log(several, FileOptions(**options), sides, store)


def rows_of(log: Log) -> list[tuple[Any, ...]]:
    return log.frame(list(log.types)).rows()
