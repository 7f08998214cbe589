"""Labelled raw rows of a file, by the label rule that a bundle was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dagfm.cli.rows import RawRows
    from dagfm.config.files import FileOptions, TableConfig
    from dagfm.encoding.rows import Float32
    from dagfm.serving.scorer import Scorer


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a file, and what those say that the rule keeps."""

    raw: RawRows
    kept: NDArray[np.bool_]
    """(rows of the file,)"""
    clicks: Float32
    """(kept rows,)"""
    weights: Float32 | None
    """(kept rows,)"""


def read_labelled(scorer: Scorer, file: str, options: FileOptions, tables: Mapping[str, TableConfig]) -> LabelledRows:
    """Every row of ``file`` with its label. Raises InputError for what is wrong with a label, naming its row, and where
    the kept rows are not of both classes."""
    import numpy as np

    from dagfm.cli.rows import located, read_rows
    from dagfm.config.data import LabelConfig
    from dagfm.data.label import check_classes, labels

    label = LabelConfig.model_validate(scorer.card["label"])
    weight = scorer.card.get("weight")
    raw = read_rows(scorer, file, options, tables, [*label.columns, *([weight] if weight else [])])
    with located(raw):
        found = labels(raw.frame, label, file, weight)
    clicks = found.clicks[found.kept]
    weights = None if found.weights is None else found.weights[found.kept]
    counted = clicks if weights is None else clicks[weights > 0]
    lowest, highest = (float(counted.min()), float(counted.max())) if counted.size else (np.inf, -np.inf)
    check_classes(lowest, highest, len(counted), file)
    return LabelledRows(raw, found.kept, clicks, weights)
