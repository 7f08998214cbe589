"""From a configuration to prepared data on disk, once: a second run with the same inputs finds it there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dagfm.config.models import Config
from dagfm.data.array_files import write_array, write_column
from dagfm.data.dataset import COUNTS, FORMAT, KIND, Prepared
from dagfm.data.forecast import check_room, forecast
from dagfm.data.held_out import FOLDER
from dagfm.data.inputs import Inputs, open_inputs, prepared_fingerprint
from dagfm.data.mapped import blocks, created, mapped
from dagfm.data.memory import give_back
from dagfm.data.scores import ScoreFunction, Scores
from dagfm.data.split import PARTS, TRAIN
from dagfm.data.staging.assemble import assemble, source_file
from dagfm.data.staging.chunks import Staged, stage
from dagfm.data.staging.crossing import learn_cross, write_cross
from dagfm.data.staging.fitting import fit_numbers, training_numbers
from dagfm.data.staging.merge import RowMap, hash_rows, merge
from dagfm.data.staging.plan import Plan, make_plan
from dagfm.data.staging.targets import learn_target, make_folds, write_target
from dagfm.data.store import claim
from dagfm.data.threads import in_threads, threads
from dagfm.encoding.bins import Bins
from dagfm.encoding.encoder import Encoder, table_counts
from dagfm.encoding.encoder_file import write_encoder
from dagfm.encoding.rows import Float32, Int64
from dagfm.errors import InputError
from dagfm.files import seal
from dagfm.progress import LoggedProgress, Progress
from dagfm.schema import MISSING, UNKNOWN, Field, Schema

T = TypeVar("T")

STORE = ".dagfm"
"""Folder beside a configuration that holds what can be made again."""
MEMORY = 1_500_000_000
"""Bytes that preparation may hold, about, where the caller says nothing; embedding tables are not of its making."""
_ROWS, _LEAST_ROWS = 1 << 17, 1024
"""Rows of a chunk, at most and at least."""
_CELL_BYTES = 24
"""What a cell of a chunk takes on its way, about: Arrow's and our codes, and its share of a dictionary."""


def prepare(
    config: Config,
    home: Path,
    progress: Progress | None = None,
    memory: int = MEMORY,
    teacher: ScoreFunction | None = None,
) -> Prepared:
    """The prepared data of ``config``, written to ``home/.dagfm/prepared/<fingerprint>/`` unless it is there.

    Works out of core, in about ``memory`` bytes: chunk after chunk of rows becomes local codes on disk, the chunks'
    texts become vocabularies, the codes row ids. A killed run continues after its last finished chunk; of two at a time
    the second waits. ``teacher``: the function whose scores ``teacher.scores`` names. Raises InputError for everything
    wrong with the files, naming the place, for what cannot fit on the disk, and for prepared data that is damaged.
    """
    progress = progress or LoggedProgress()
    key = prepared_fingerprint(config)
    store = home / STORE / "prepared"
    final = store / key
    with claim(store, key, progress):
        if final.exists():
            progress.line(f"prepared data {key} is there")
            return Prepared.open(final)
        inputs = open_inputs(config, home / STORE, progress)
        scores = Scores.open(config, [log for log, _ in inputs.logs], teacher, home / STORE, progress)
        unfinished = store / f".{key}.tmp"
        coming = forecast(config, inputs, memory)
        progress.line(coming.told())
        check_room(coming, store)
        try:
            _Preparation(config, inputs, scores, key, unfinished, progress, memory).run()
        except InputError:
            shutil.rmtree(unfinished, ignore_errors=True)  # the input has to change, and with it the key
            raise
        unfinished.rename(final)
    return Prepared.open(final)


@dataclass(frozen=True)
class _Preparation:
    """One preparation, pass by pass."""

    config: Config
    inputs: Inputs
    scores: Scores | None
    key: str
    directory: Path
    progress: Progress
    memory: int

    def run(self) -> None:
        schema = self.config.schema_
        columns = max(1, len(schema.columns))
        share = self.memory // (threads() + 4)  # a chunk each, one that waits, and room for all else
        rows = int(np.clip(share // (_CELL_BYTES * columns), min(_LEAST_ROWS, _ROWS), _ROWS))
        # A chunk is found again only by a run that cuts the rows in the same places.
        folder = self.directory / f"staging-{rows}"
        for other in self.directory.glob("staging-*"):
            if other != folder:
                shutil.rmtree(other)
        folder.mkdir(parents=True, exist_ok=True)
        total = sum(len(log) for log, _ in self.inputs.logs)
        self.progress.start("reading labels", total)
        plan = make_plan(self.config.data, self.inputs.logs, folder, rows, self.progress.advance, scores=self.scores)
        self.progress.start("reading fields", total)
        staged = stage(plan, schema, folder, rows, self.progress.advance)
        self.progress.start("learning", len(schema.columns))
        encoder, maps, counts, facts = self._learn(staged)
        self.progress.start("encoding", total)
        names = assemble(staged, encoder, maps, self.directory, self.progress.advance)
        names += self._labels(plan)
        self.progress.finish()
        encoder = self._derive(staged, encoder, counts)
        names += [str(path.relative_to(self.directory)) for path in sorted((self.directory / FOLDER).rglob("*.npy"))]
        names += write_encoder(encoder, self.directory)
        write_array(self.directory / COUNTS, table_counts(encoder, counts))
        shutil.rmtree(folder)
        facts |= {"fields": _seen(encoder, counts), "unmatched": self.inputs.unmatched()}
        told = {"fingerprint": self.key, "rows": plan.sizes(), "facts": facts}
        seal(self.directory, KIND, FORMAT, [*names, COUNTS], told)

    def _learn(self, staged: Staged) -> tuple[Encoder, dict[str, RowMap], dict[str, Int64], dict[str, Any]]:
        """What fields learn from their own column, the row maps of those with texts, and how often each row occurs."""
        schema, codings = staged.schema, staged.codings
        budget = self.memory // 20 // threads()
        vocabularies, scales, bins = {}, {}, {}
        maps: dict[str, RowMap] = {}
        counts: dict[str, Int64] = {}
        collisions = {}

        def learn(field: Field) -> None:
            if field.has_vocabulary:
                sharing = [one for one in schema if field.name in (one.name, one.vocabulary)]
                owned = list(dict.fromkeys(codings[one.name] for one in sharing))
                vocabularies[field.name], of_coding = merge(staged, field, owned, budget)
                maps.update({one.name: of_coding[codings[one.name].index] for one in sharing})
            elif field.hash is not None and field.cross is None:
                maps[field.name], found = hash_rows(staged, field, codings[field.name], budget)
                collisions[field.name] = found.__dict__
            elif field.name not in codings and field.cross is None:
                learned, counts[field.name] = fit_numbers(training_numbers(staged, field), field)
                if isinstance(learned, Bins):
                    bins[field.name] = learned
                else:
                    scales[field.name] = learned
            give_back()
            self.progress.advance(1)

        in_threads(learn, schema)
        # Threads end in any order; what is written must not depend on it.
        encoder = Encoder(schema, *(_ordered(learned, schema) for learned in (vocabularies, scales, bins)))
        counts |= {name: rows.counts for name, rows in maps.items()}
        return (
            encoder,
            maps,
            counts,
            {"collisions": [{"name": name, **found} for name, found in sorted(collisions.items())]},
        )

    def _labels(self, plan: Plan) -> list[str]:
        names = []
        for part, rows in plan.sizes().items():
            for file, array in (("labels", plan.clicks), ("weights", plan.weights), ("scores", plan.scores)):
                if array is not None:
                    names.append(f"{part}/{file}.npy")
                    plan.of(PARTS.index(part), array, created(self.directory / names[-1], np.float32, (rows,)))
        if plan.scores is None:
            return names  # then every row has a label
        clicks = mapped(self.directory / "train" / "labels.npy")
        labelled = sum(int(np.count_nonzero(~np.isnan(clicks[block]))) for block in blocks(len(clicks)))
        if labelled < len(clicks):
            names.append("train/labelled.npy")
            found = (np.flatnonzero(~np.isnan(clicks[block])) + block.start for block in blocks(len(clicks)))
            write_column(self.directory / names[-1], np.int64, labelled, found)
        return names

    def _derive(self, staged: Staged, encoder: Encoder, counts: dict[str, Int64]) -> Encoder:
        """Crosses and target statistics, which need every row's ids: pass after pass over the encoded rows."""
        schema, folder, plan = encoder.schema, staged.folder, staged.plan
        for field in schema:
            if field.cross is not None:
                self.progress.line(f"crossing {' x '.join(field.cross)}")
                cross = learn_cross(encoder, field, self.directory, folder)
                encoder = replace(encoder, crosses={**encoder.crosses, field.name: cross})
                counts[field.name] = write_cross(encoder, field, self.directory, folder)
        if not any(field.is_target for field in schema):
            return encoder
        clicks = mapped(self.directory / "train" / "labels.npy")
        weights = mapped(self.directory / "train" / "weights.npy") if plan.weights is not None else None
        if (self.directory / "train" / "labelled.npy").exists():
            clicks, weights = _unlabelled_weigh_nothing(clicks, weights, folder)
        times = None
        if plan.times is not None:
            times = created(folder / "training-times.npy", np.float64, (len(clicks),))
            plan.of(TRAIN, plan.times, times)
        folds = make_folds(len(clicks), times, self.config.data.split.seed, folder)
        recombined = [] if folds.in_time else [one.name for one in schema if one.is_target and one.cross is not None]
        if recombined:
            write_array(self.directory / FOLDER / "of_row.npy", folds.of_row)
        for field in schema:
            if field.is_target:
                self.progress.line(f"click rates of {field.name}")
                ids = mapped(source_file(folder, "train", schema, field.name))
                size = encoder.source_rows(field)
                tables = self.directory / FOLDER / str(schema.names.index(field.name))
                statistics, own = learn_target(
                    field, ids, clicks, weights, folds, size, folder, tables if field.name in recombined else None
                )
                encoder = replace(encoder, statistics={**encoder.statistics, field.name: statistics})
                counts[field.name] = write_target(encoder, field, own, self.directory, folder)
        return encoder


def _unlabelled_weigh_nothing(clicks: Float32, weights: Float32 | None, folder: Path) -> tuple[Float32, Float32]:
    """Labels and weights (n,), in files, with 0 for both where there is no label: no statistic counts these rows."""
    known, counted = (created(folder / f"known-{name}.npy", np.float32, clicks.shape) for name in ("clicks", "weights"))
    for block in blocks(len(clicks)):
        there = ~np.isnan(clicks[block])
        known[block] = np.where(there, clicks[block], 0)
        counted[block] = there if weights is None else np.where(there, weights[block], 0)
    return known, counted


def _ordered(learned: dict[str, T], schema: Schema) -> dict[str, T]:
    return {name: learned[name] for name in schema.names if name in learned}


def _seen(encoder: Encoder, counts: Mapping[str, Int64]) -> list[dict[str, Any]]:
    """For reports: every field's rows, and how many training cells are unknown and missing."""
    schema: Schema = encoder.schema
    return [
        {
            "name": name,
            "rows": encoder.rows_of(name),
            "unknown": int(counts[name][UNKNOWN]),
            "missing": int(counts[name][MISSING]),
        }
        for name in schema.names
    ]
