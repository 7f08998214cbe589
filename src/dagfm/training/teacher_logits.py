"""The teacher's logits, written once: of training, validation and test rows and of the recombined pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dagfm.config import Config
from dagfm.config.boosted import BoostedConfig
from dagfm.data.batches import Pool
from dagfm.data.mapped import mapped
from dagfm.data.prefetch import prefetch
from dagfm.data.recombine import Recombination, draw_columns, draw_pairs, recombined
from dagfm.data.shuffle import WINDOW
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Rows
from dagfm.files import write_column
from dagfm.training.scoring import CHUNK, Scores, chunks_of, figures, mean_of, scores_of
from dagfm.training.stage import Stage
from dagfm.training.trees import boosted_scores
from dagfm.training.workshop import Entry, Trained, Workshop

SIDES = ("pool-context", "pool-candidate")
"""Columns of a pool whose rows take their context fields from one training row and their candidate fields from another.
"""
FIELDS = ("pool-base", "pool-donor", "pool-column")
"""Columns of a pool whose rows take one column's fields from another training row."""
POOL_LOGITS = "pool-logits"


@dataclass(frozen=True)
class TeacherLogits:
    """A finished cache of logits; students of any number and shape read it, no teacher is needed any more."""

    directory: Path
    fingerprint: str

    def read(self, part: str) -> Float32:
        """Logits (n,) of the train, valid or test rows, memory-mapped. The test logits are for the report only."""
        return mapped(self.directory / f"{part}.npy")

    def pool(self) -> Pool:
        """The recombined rows and their logits, memory-mapped."""
        names = SIDES if (self.directory / f"{SIDES[0]}.npy").exists() else FIELDS
        made_of = Recombination(*(mapped(self.directory / f"{name}.npy") for name in names))
        return Pool(made_of, mapped(self.directory / f"{POOL_LOGITS}.npy"))


def write_teacher_logits(shop: Workshop, teachers: list[Trained], directory: Path) -> TeacherLogits:
    """Phase 2: one pass of every teacher over all rows and the pool, in eval mode; several teachers give their mean.

    The pool holds ``recombined`` rows per training row and planned epoch, up to the cap: each a training row's context
    fields with another's candidate fields, or a training row with one column of another. Both rows are drawn from the
    training rows, so in proportion to their popularity, unless ``recombined_from`` gives every candidate the same.
    Memory does not grow with the rows: logits go to their file a chunk at a time.
    """
    pool_rows = _pool_rows(shop)
    stage = Stage(
        directory,
        {
            "made from": {"teachers": [teacher.fingerprint for teacher in teachers]},
            "training": {"seed": shop.seed},
            "recombined rows": pool_rows,
            **(_kind_of_pool(shop.config) if pool_rows else {}),
        },
    )
    cache = TeacherLogits(directory, stage.fingerprint)
    if stage.open() is not None:
        return cache
    prepared = shop.prepared
    datasets = {"train": prepared.train, "valid": prepared.valid, "test": prepared.test}
    total = sum(map(len, datasets.values())) + pool_rows
    shop.progress.start(f"teacher logits (seed {shop.seed})", total)
    scores = mean_of([_scores(shop, teacher) for teacher in teachers])
    for name, dataset in datasets.items():
        _write_scores(shop, scores, directory, name, chunks_of(dataset.rows), len(dataset))
    names = list(datasets)
    if pool_rows:
        drawn = _draw(shop, directory, pool_rows)
        made_of = Recombination(*(mapped(directory / f"{name}.npy") for name in drawn))
        rows = _recombined_chunks(prepared.train.rows, prepared.encoder, made_of)
        _write_scores(shop, scores, directory, POOL_LOGITS, rows, pool_rows)
        names += [*drawn, POOL_LOGITS]
    shop.progress.finish()
    stage.finish([f"{name}.npy" for name in names], {"rows": total})
    return cache


def ensemble_entry(shop: Workshop, members: list[Trained], logits: TeacherLogits) -> Entry:
    """The ensemble's line of results: the mean of the members' logits, the sum of their costs."""
    entries = [member.entry for member in members]
    valid, test = shop.prepared.valid, shop.prepared.test
    return {
        "name": "ensemble",
        "role": "teacher",
        "network": "+".join(entry["network"] for entry in entries),
        "phase": "teacher_training",
        "seed": shop.seed,
        "parameters": sum(entry["parameters"] for entry in entries),
        "multiply_adds": sum(entry["multiply_adds"] for entry in entries),
        "training_rows_per_second": _together([entry["training_rows_per_second"] for entry in entries]),
        "scoring_rows_per_second": _together([entry["scoring_rows_per_second"] for entry in entries]),
        "metrics": {
            "valid": figures(valid, logits.read("valid"), None, shop.sampling),
            "test": figures(test, logits.read("test"), None, shop.sampling),
        },
    }


def _scores(shop: Workshop, teacher: Trained) -> Scores:
    boosted = isinstance(teacher.network, BoostedConfig)
    return boosted_scores(shop, teacher) if boosted else scores_of(shop.trained(teacher))


def _together(speeds: list[float | None]) -> float | None:
    """Rows/s of doing one after the other; unknown when one of them is (weights taken over from another run)."""
    known = [speed for speed in speeds if speed is not None]
    return 1 / sum(1 / speed for speed in known) if len(known) == len(speeds) else None


def _pool_rows(shop: Workshop) -> int:
    if shop.config.recombination is None:
        return 0
    how = shop.config.distillation
    epochs = int(shop.settled(shop.config.training.distillation).epochs)
    return max(1, min(round(how.recombined * epochs * len(shop.prepared.train)), how.recombined_cap))


def _kind_of_pool(config: Config) -> dict[str, str]:
    """What is not as in all pools before there were several kinds."""
    kind = {"pool": "fields"} if config.recombination == "fields" else {}
    return kind if config.distillation.recombined_from == "popularity" else {**kind, "recombined from": "uniform"}


def _draw(shop: Workshop, directory: Path, count: int) -> tuple[str, ...]:
    """Draw what the rows of the pool are made of into files, and return their names."""
    rows, columns = len(shop.prepared.train), len(shop.config.schema_.columns)
    names = SIDES if shop.config.recombination == "sides" else FIELDS
    # No teacher's name in the seed: students of different teachers are compared on the same recombined rows.
    seed = shop.seed_of("recombined rows")
    index = np.int32 if rows <= np.iinfo(np.int32).max else np.int64
    ids = _candidate_ids(shop)
    for part in range(2):
        drawn = (pair[part] for pair in draw_pairs(rows, count, seed, ids))
        write_column(directory / f"{names[part]}.npy", index, count, drawn)
    if names == FIELDS:
        drawn_columns = draw_columns(columns, count, shop.seed_of("recombined columns"))
        write_column(directory / f"{FIELDS[2]}.npy", np.int32, count, drawn_columns)
    return names


def _candidate_ids(shop: Workshop) -> Indices | None:
    """(n,) the candidate's id in every training row, by the field that has most of them; None if popularity counts."""
    if shop.config.distillation.recombined_from == "popularity":
        return None
    encoder = shop.prepared.encoder
    field = max(shop.config.schema_.candidate_ids, key=encoder.source_rows)
    return shop.prepared.train.rows.tokens[:, encoder.schema.ids_column(field.name)]


def _recombined_chunks(rows: Rows, encoder: Encoder, made_of: Recombination) -> Iterator[Rows]:
    """The rows of the pool, ``CHUNK`` at a time."""
    for start in range(0, len(made_of), CHUNK):
        if start % WINDOW == 0 and len(rows) > WINDOW:
            prefetch(rows, made_of[start : start + WINDOW].touched)
        yield recombined(rows, encoder, made_of[start : start + CHUNK])


def _write_scores(
    shop: Workshop, scores: Scores, directory: Path, name: str, chunks: Iterable[Rows], count: int
) -> None:
    """Score rows into a file, a chunk in memory at a time, unless an interrupted pass already wrote it whole."""
    if (directory / f"{name}.npy").exists():
        shop.progress.advance(count)
        return

    def shown() -> Iterator[Rows]:
        for rows in chunks:
            yield rows
            shop.progress.advance(len(rows))

    write_column(directory / f"{name}.npy", np.float32, count, map(scores, shown()))
