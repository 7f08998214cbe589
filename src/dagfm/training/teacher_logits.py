"""The teacher's logits, written once: of training, validation and test rows and of the recombined pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dagfm.data.batches import Pool
from dagfm.data.mapped import mapped
from dagfm.data.prefetch import prefetch
from dagfm.data.recombine import draw_pairs, recombined
from dagfm.data.shuffle import WINDOW
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Rows
from dagfm.files import write_column
from dagfm.nn.model import CTRModel
from dagfm.training.scoring import CHUNK, chunks_of, figures, scored
from dagfm.training.stage import Stage
from dagfm.training.workshop import Entry, Trained, Workshop


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
        return Pool(*(mapped(self.directory / f"pool-{name}.npy") for name in ("context", "candidate", "logits")))


def write_teacher_logits(shop: Workshop, teachers: list[Trained], directory: Path) -> TeacherLogits:
    """Phase 2: one pass of every teacher over all rows and the pool, in eval mode; several teachers give their mean.

    The pool holds ``recombined`` rows per training row and planned epoch, up to the cap: each a training row's context
    fields with another's candidate fields, both drawn from the training rows, so in proportion to their popularity.
    Memory does not grow with the rows: logits go to their file a chunk at a time.
    """
    pool_rows = _pool_rows(shop)
    stage = Stage(
        directory,
        {
            "made from": {"teachers": [teacher.fingerprint for teacher in teachers]},
            "training": {"seed": shop.seed},
            "recombined rows": pool_rows,
        },
    )
    cache = TeacherLogits(directory, stage.fingerprint)
    if stage.open() is not None:
        return cache
    prepared = shop.prepared
    datasets = {"train": prepared.train, "valid": prepared.valid, "test": prepared.test}
    total = sum(map(len, datasets.values())) + pool_rows
    shop.progress.start(f"teacher logits (seed {shop.seed})", total)
    models = [shop.trained(teacher) for teacher in teachers]
    for name, dataset in datasets.items():
        _write_scores(shop, models, directory, name, chunks_of(dataset.rows), len(dataset))
    names = list(datasets)
    if pool_rows:
        # No teacher's name in the seed: students of different teachers are compared on the same recombined rows.
        seed = shop.seed_of("recombined rows")
        sides = [directory / "pool-context.npy", directory / "pool-candidate.npy"]
        index = np.int32 if len(prepared.train) <= np.iinfo(np.int32).max else np.int64
        for side, path in enumerate(sides):
            drawn = (pair[side] for pair in draw_pairs(len(prepared.train), pool_rows, seed))
            write_column(path, index, pool_rows, drawn)
        rows = _recombined_chunks(prepared.train.rows, prepared.encoder, *map(mapped, sides))
        _write_scores(shop, models, directory, "pool-logits", rows, pool_rows)
        names += ["pool-context", "pool-candidate", "pool-logits"]
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


def _together(speeds: list[float | None]) -> float | None:
    """Rows/s of doing one after the other; unknown when one of them is (weights taken over from another run)."""
    known = [speed for speed in speeds if speed is not None]
    return 1 / sum(1 / speed for speed in known) if len(known) == len(speeds) else None


def _pool_rows(shop: Workshop) -> int:
    if not shop.config.recombines:
        return 0
    how = shop.config.distillation
    epochs = int(shop.settled(shop.config.training.distillation).epochs)
    return max(1, min(round(how.recombined * epochs * len(shop.prepared.train)), how.recombined_cap))


def _recombined_chunks(rows: Rows, encoder: Encoder, context: Indices, candidate: Indices) -> Iterator[Rows]:
    """The rows of the pool, ``CHUNK`` at a time."""
    for start in range(0, len(context), CHUNK):
        if start % WINDOW == 0 and len(rows) > WINDOW:
            run = slice(start, start + WINDOW)
            prefetch(rows, np.concatenate([context[run], candidate[run]]))
        chunk = slice(start, start + CHUNK)
        yield recombined(rows, encoder, context[chunk], candidate[chunk])


def _write_scores(
    shop: Workshop, models: list[CTRModel], directory: Path, name: str, chunks: Iterable[Rows], count: int
) -> None:
    """Score rows into a file, a chunk in memory at a time, unless an interrupted pass already wrote it whole."""
    if (directory / f"{name}.npy").exists():
        shop.progress.advance(count)
        return

    def shown() -> Iterator[Rows]:
        for rows in chunks:
            yield rows
            shop.progress.advance(len(rows))

    write_column(directory / f"{name}.npy", np.float32, count, scored(models, shown()))
