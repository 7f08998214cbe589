"""Raw rows of any readable file, for a bundle to score."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dagfm.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from dagfm.config.files import FileOptions, TableConfig
    from dagfm.data.log import Log
    from dagfm.serving.scorer import Scorer

log = logging.getLogger(__name__)

TABLE_HELP = "Side table joined to the rows by a key column; may be repeated."


@dataclass(frozen=True)
class RawRows:
    """The rows of a file, and the log that says where in it each stands."""

    frame: pl.DataFrame
    log: Log


def read_rows(
    scorer: Scorer, file: str, options: FileOptions, tables: Mapping[str, TableConfig], more: Iterable[str] = ()
) -> RawRows:
    """The columns that the bundle needs, and ``more``, of every row of ``file`` in its order.

    Raises InputError naming the column that is missing, and the side tables that training had where none are given.
    """
    from dagfm.data.log import AbsentColumnError, open_log

    try:
        with tempfile.TemporaryDirectory(prefix="dagfm-") as store:
            rows = open_log((file,), options, tables, Path(store), log.info)
            return RawRows(rows.frame([*scorer.schema.columns, *more]), rows)
    except AbsentColumnError as error:
        keys = [key for key in scorer.card["tables"] if key not in tables]
        if not keys:
            raise
        hint = " ".join(f"--table {key}=FILE" for key in keys)
        raise InputError(f"{error} The bundle was trained with side tables: name them with {hint}") from None


@contextmanager
def located(rows: RawRows) -> Iterator[None]:
    """A cell of ``read_rows``'s table that is refused is told with its file, of a glob, and its row there."""
    from dagfm.encoding.values import BadValueError

    try:
        yield
    except BadValueError as error:
        raise InputError(f"{rows.log.locate(error.row)}: {error.problem}") from None


def score(scorer: Scorer, frame: pl.DataFrame, file: str) -> NDArray[np.float64]:
    """The calibrated logits (N,) of all rows, with progress on stderr."""
    from dagfm.cli.progress import progress_for_stderr

    watch = progress_for_stderr()
    watch.start(f"scoring {file}", frame.height)
    try:
        return scorer.served_logits(frame, origin=file, advance=watch.advance)
    finally:
        watch.finish()


def parse_tables(pairs: Iterable[str] | None) -> dict[str, TableConfig]:
    """``KEY=FILE`` pairs of ``--table`` as a mapping. Raises InputError for anything else, or a file not there."""
    from dagfm.config.files import TableConfig

    tables: dict[str, TableConfig] = {}
    for pair in pairs or ():
        key, equals, path = pair.partition("=")
        if not (key and equals and path):
            raise InputError(f"--table {pair}: expected KEY=FILE, such as user_id=users.csv")
        if not Path(path).is_file():
            raise InputError(f"--table {pair}: {path}: no such file")
        tables[key] = TableConfig(path=path)
    return tables
