"""Labelled raw rows of files, by the label rule that a bundle was trained with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from dagfm.batch.rows import RawRows, Scored
from dagfm.config.data import LabelConfig
from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.label import Labelled, check_classes, labels
from dagfm.data.log import as_frame
from dagfm.data.log.opening import Progress
from dagfm.encoding.rows import Float32
from dagfm.errors import InputError
from dagfm.serving.scorer import Scorer


@dataclass(frozen=True)
class LabelledRows:
    """Files of raw rows, for a bundle to score and to be judged on."""

    raw: RawRows
    origin: str

    @classmethod
    @contextmanager
    def open(
        cls,
        scorer: Scorer,
        rows: str,
        options: FileOptions,
        tables: Mapping[str, TableConfig],
        progress: Progress | None = None,
    ) -> Iterator[LabelledRows]:
        """As ``RawRows.open``, with the columns of label and weight; what is converted is gone at the end."""
        label, weight = _rule(scorer)
        more = [*label.columns, *([weight] if weight else [])]
        with tempfile.TemporaryDirectory(prefix="dagfm-") as store:
            yield cls(RawRows.open(scorer, rows, options, tables, Path(store), more, progress), rows)

    def labels(self, some: Scored) -> Labelled:
        """What the rule makes of some of the rows; raises as ``data.label.labels``."""
        label, weight = _rule(self.raw.scorer)
        return labels(as_frame(some.table.select(list(self.raw.more))), label, self.origin, weight)


def check_both(clicks: Float32, weights: Float32 | None, origin: str) -> None:
    """Raises InputError where there are not both clicks and others among the rows that count."""
    counted = clicks if weights is None else clicks[weights > 0]
    lowest, highest = (float(counted.min()), float(counted.max())) if counted.size else (np.inf, -np.inf)
    check_classes(lowest, highest, len(counted), origin)


def _rule(scorer: Scorer) -> tuple[LabelConfig, str | None]:
    try:
        return LabelConfig.model_validate(scorer.card.get("label")), scorer.card.get("weight")
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise InputError(f"the bundle's manifest holds no label rule ({what}); the bundle is damaged") from None
